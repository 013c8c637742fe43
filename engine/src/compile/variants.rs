//! Variants: their shares and what they do.

use splitway_document::{ADVICE, Code, Place, Problem, describe_number, describe_text, prose};

use super::compiler::Compiler;
use super::limits::MAX_VARIANTS;
use crate::bucketing::BUCKETS;
use crate::ids::VariantId;
use crate::plan::{HeaderChange, Partition, PathRewrite, Redirect, Split, Variant, VariantActions, headers};
use crate::wire;

/// Longest replacement of a path's match, in bytes.
const MAX_REPLACEMENT: usize = 1024;
/// Most header changes of one variant, request and response each.
const MAX_CHANGES: usize = 64;

impl<'c> Compiler<'c> {
    pub(super) fn variants(&mut self, at: Place<'_>, experiment: &'c wire::Experiment) -> Vec<Variant> {
        let list = at.key("variants");
        let variants = &experiment.variants;
        if variants.is_empty() {
            self.error(list, Code::MissingField, "at least one variant", "none");
        }
        self.limit(list, "variants", variants.len(), MAX_VARIANTS);
        if variants.iter().filter(|variant| variant.control == Some(true)).count() > 1 {
            self.error(list, Code::Conflict, "one control", "several variants with `control: true`");
        }
        let mut compiled: Vec<Variant> = Vec::with_capacity(variants.len());
        for (index, variant) in variants.iter().take(MAX_VARIANTS).enumerate() {
            let at = list.index(index);
            self.id(at.key("id"), &variant.id);
            if compiled.iter().any(|known| *known.id == *variant.id) {
                let found = prose!("`{}` again", variant.id);
                self.error_in(&at, "id", Code::DuplicateId, "each variant id once", &found);
            }
            compiled.push(Variant {
                id: variant.id.as_str().into(),
                stamp: stamp(&experiment.id, &variant.id).into(),
                hides_stamp: experiment.stamp.or(self.config.stamp) == Some(wire::StampFor::Upstream),
                actions: self.actions(at, variant),
            });
        }
        self.check_division(list, variants);
        if matches!(experiment.bucketing, None | Some(wire::Bucketing::Splitway(_))) {
            self.warn_of_lost_weights(list, variants);
        }
        compiled
    }

    /// The default dialect's split: the same ranges again, as a partition.
    pub(super) fn own_split(
        &mut self,
        at: Place<'_>,
        experiment: &'c wire::Experiment,
        salt: Option<&str>,
    ) -> Split {
        let own = self.own_salt("experiment", &experiment.id);
        let hash = self.hash(at, salt.unwrap_or(&own));
        let claims = ranges_of(&experiment.variants).unwrap_or_default();
        let partition = Partition::new(claims, VariantId(0)).ok();
        Split::Splitway { hash, variants: partition.unwrap_or_else(|| Partition::whole(VariantId(0))) }
    }

    /// Checks weights or explicit buckets.
    /// Weights so small that no bucket is left for them.
    fn warn_of_lost_weights(&mut self, list: Place<'_>, variants: &[wire::Variant]) {
        let Some(claims) = ranges_of(variants).filter(|_| ADVICE) else { return };
        for (index, (id, variant)) in variant_ids().zip(variants).enumerate() {
            let Some(weight) = variant.weight.filter(|weight| *weight > 0.0) else { continue };
            if !claims.is_empty() && !claims.iter().any(|(_, _, owner)| *owner == id) {
                let expected = "a weight of at least one bucket in 10,000, or 0";
                let path = list.index(index).key("weight").path();
                let problem = Problem::error(path, Code::InvalidValue, expected, &describe_number(weight));
                let nobody = || prose!("`{}` gets nobody: its share rounds to no bucket", variant.id);
                self.problems.push(problem.warning().suggest(nobody));
            }
        }
    }

    fn check_division(&mut self, list: Place<'_>, variants: &[wire::Variant]) {
        let explicit = variants.iter().any(|variant| !variant.buckets.is_empty());
        let weighted = variants.iter().any(|variant| variant.weight.is_some());
        if explicit && weighted {
            self.error(list, Code::Conflict, "either weights or buckets for all variants", "both");
        } else if explicit {
            self.explicit_ranges(list, variants);
        } else {
            self.weights(list, variants, weighted);
        }
    }

    fn weights(&mut self, list: Place<'_>, variants: &[wire::Variant], weighted: bool) {
        for (index, variant) in variants.iter().enumerate() {
            let at = list.index(index);
            match variant.weight {
                None if weighted => {
                    self.error_in(
                        &at,
                        "weight",
                        Code::MissingField,
                        "a weight, as the other variants have",
                        "none",
                    );
                }
                Some(weight) if !(0.0..=1e9).contains(&weight) => {
                    let expected = "a weight from 0 to 1,000,000,000";
                    self.error_in(&at, "weight", Code::OutOfRange, expected, &describe_number(weight));
                }
                _ => {}
            }
        }
        let total: f64 = variants.iter().filter_map(|variant| variant.weight).sum();
        // A weight that could not be read counts as 0, and is told already.
        if weighted && total <= 0.0 && !self.problems.any_below(&list.path()) {
            self.error(list, Code::InvalidValue, "weights that sum to more than 0", "0");
        }
    }

    fn explicit_ranges(&mut self, list: Place<'_>, variants: &[wire::Variant]) {
        let mut claims = Vec::new();
        let mut good = true;
        for (index, (id, variant)) in variant_ids().zip(variants).enumerate() {
            let at = list.index(index);
            match self.ranges(at.key("buckets"), &variant.buckets) {
                Some(ranges) => claims.extend(ranges.into_iter().map(|(start, end)| (start, end, id))),
                None => good = false,
            }
        }
        if !good {
            return;
        }
        if let Err(overlap) = Partition::new(claims.iter().copied(), VariantId(u16::MAX)) {
            let name = |id: VariantId| variants.get(id.index()).map_or("", |variant| &variant.id);
            let found = prose!("bucket {}, which `{}` has", overlap.bucket, name(overlap.first));
            let at = list.index(overlap.second.index());
            self.error_in(&at, "buckets", Code::Overlap, "buckets that no other variant has", &found);
            return;
        }
        let covered: u32 = claims.iter().map(|(start, end, _)| end.saturating_sub(*start)).sum();
        if covered != BUCKETS {
            let found = prose!("{covered} of {BUCKETS}");
            self.error(list, Code::Gap, "buckets 0 to 9999, each in one variant", &found);
        }
    }

    fn actions(&mut self, at: Place<'_>, variant: &wire::Variant) -> VariantActions {
        let route_at = at.key("route");
        let none = wire::Route::default();
        let route = variant.route.as_ref().unwrap_or(&none);
        VariantActions {
            cluster: route.cluster.as_ref().and_then(|to| self.cluster(route_at.key("cluster"), to)),
            host: route.host.as_ref().and_then(|host| self.host(route_at.key("host"), host)),
            path: route.path.as_ref().and_then(|path| self.path_rewrite(route_at.key("path"), path)),
            redirect: route.redirect.as_ref().and_then(|to| self.redirect(route_at.key("redirect"), to)),
            shadow: route.shadow.as_ref().and_then(|to| self.cluster(route_at.key("shadow"), to)),
            request_headers: self.header_changes(at.key("request_headers"), variant.request_headers.as_ref()),
            response_headers: self
                .header_changes(at.key("response_headers"), variant.response_headers.as_ref()),
        }
    }

    fn cluster(&mut self, at: Place<'_>, cluster: &str) -> Option<Box<str>> {
        let good = !cluster.is_empty()
            && cluster.len() <= 256
            && cluster.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:|/~".contains(&b));
        if !good {
            let expected = "a cluster name of letters, digits and -_.:|/~";
            self.error(at, Code::InvalidValue, expected, &describe_text(cluster));
        }
        good.then(|| cluster.into())
    }

    fn host(&mut self, at: Place<'_>, host: &str) -> Option<Box<str>> {
        let good = !host.is_empty()
            && host.len() <= 255
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b));
        if !good {
            let expected = "a host, with a port or not, without scheme and path";
            self.error(at, Code::InvalidValue, expected, &describe_text(host));
        }
        good.then(|| host.into())
    }

    fn path_rewrite(&mut self, at: Place<'_>, rewrite: &wire::PathRewrite) -> Option<PathRewrite> {
        match (&rewrite.replace_prefix, &rewrite.regex, &rewrite.replacement) {
            (Some(replacement), None, None) => {
                let prefix = rewrite.prefix.as_deref().unwrap_or("/");
                let prefix = self.path_prefix(at.key("prefix"), prefix);
                let replacement = self.path_prefix(at.key("replace_prefix"), replacement);
                Some(PathRewrite::Prefix { prefix: prefix?, replacement: replacement? })
            }
            (None, Some(regex), Some(replacement)) if rewrite.prefix.is_none() => {
                let good = replacement.len() <= MAX_REPLACEMENT
                    && replacement.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\".contains(&b));
                if !good {
                    let expected = "a path without query, fragment and blanks, with groups as $1";
                    self.error_in(
                        &at,
                        "replacement",
                        Code::InvalidValue,
                        expected,
                        &describe_text(replacement),
                    );
                }
                let regex = self.regex(at.key("regex"), regex, regex, false)?;
                Some(PathRewrite::Regex { regex: Box::new(regex), replacement: replacement.as_str().into() })
            }
            _ => {
                let expected = "either replace_prefix, with prefix or not, or regex and replacement";
                self.error(at, Code::Conflict, expected, "another set of fields");
                None
            }
        }
    }

    fn redirect(&mut self, at: Place<'_>, redirect: &wire::Redirect) -> Option<Redirect> {
        let status = redirect.status.unwrap_or(302);
        let status = u16::try_from(status).ok().filter(|status| matches!(status, 302 | 303 | 307));
        if status.is_none() {
            // Browsers keep permanent ones: who had one would keep the variant.
            let found = prose!("{}", redirect.status.unwrap_or_default());
            self.error_in(&at, "status", Code::InvalidValue, "302, 303 or 307", &found);
        }
        let path = self.path_rewrite(at.key("path"), &redirect.path);
        Some(Redirect { path: path?, status: status? })
    }

    /// An absolute path without query, fragment, `//`, `\`, dot segments or
    /// white space; given back without its trailing `/`.
    fn path_prefix(&mut self, at: Place<'_>, path: &str) -> Option<Box<str>> {
        let good = path.starts_with('/')
            && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\".contains(&b))
            && !path.as_bytes().windows(2).any(|pair| pair == b"//")
            && !path.split('/').any(|segment| segment == "." || segment == "..");
        if !good {
            let expected = "a path such as /v2, without `//`, `..`, query or fragment";
            self.error(at, Code::InvalidValue, expected, &describe_text(path));
            return None;
        }
        Some(path.strip_suffix('/').unwrap_or(path).into())
    }

    fn header_changes(
        &mut self,
        at: Place<'_>,
        changes: Option<&wire::HeaderChanges>,
    ) -> Box<[HeaderChange]> {
        let Some(changes) = changes else { return Box::default() };
        let (set_at, add_at, remove_at) = (at.key("set"), at.key("add"), at.key("remove"));
        let mut compiled = Vec::new();
        for (index, name) in changes.remove.iter().enumerate() {
            if let Some(name) = self.changeable(remove_at.index(index), name) {
                compiled.push(HeaderChange::Remove(name));
            }
        }
        for (name, value) in changes.set.iter() {
            if let Some((name, value)) = self.header(set_at.key(name), name, value) {
                compiled.push(HeaderChange::Set(name, value));
            }
        }
        for (name, value) in changes.add.iter() {
            if let Some((name, value)) = self.header(add_at.key(name), name, value) {
                compiled.push(HeaderChange::Add(name, value));
            }
        }
        self.limit(at, "header changes", compiled.len(), MAX_CHANGES);
        compiled.into()
    }

    fn header(&mut self, at: Place<'_>, name: &str, value: &str) -> Option<(Box<str>, Box<str>)> {
        let name = self.changeable(at, name)?;
        if !headers::is_value(value) {
            let expected = "a header value without line breaks and surrounding blanks";
            self.error(at, Code::InvalidValue, expected, &describe_text(value));
            return None;
        }
        Some((name, value.into()))
    }

    fn changeable(&mut self, at: Place<'_>, name: &str) -> Option<Box<str>> {
        let name = self.header_name(at, name)?;
        if headers::is_reserved(&name) {
            let expected = "a header that does not frame or route the message";
            let problem = Problem::error(at.path(), Code::ReservedHeader, expected, &describe_text(&name));
            self.problems.push(problem.about(&name));
            return None;
        }
        Some(name)
    }
}

/// The handles of as many variants as may be.
fn variant_ids() -> impl Iterator<Item = VariantId> {
    (0..u16::MAX).map(VariantId).take(MAX_VARIANTS)
}

/// Each variant's ranges; the caller has checked them.
fn ranges_of(variants: &[wire::Variant]) -> Option<Vec<(u32, u32, VariantId)>> {
    let ids = variant_ids;
    if variants.iter().any(|variant| !variant.buckets.is_empty()) {
        let ranges = ids().zip(variants).flat_map(|(id, variant)| {
            variant.buckets.iter().map(move |[first, last]| (*first, last.saturating_add(1), id))
        });
        return Some(ranges.collect());
    }
    let weights: Vec<f64> = variants.iter().map(|variant| variant.weight.unwrap_or(1.0)).collect();
    let equal = variants.iter().all(|variant| variant.weight.is_none());
    let total: f64 = weights.iter().sum();
    if !equal && total <= 0.0 {
        return None;
    }
    let mut claims = Vec::with_capacity(weights.len());
    let mut cumulative = 0.0;
    let mut start = 0;
    for (id, weight) in ids().zip(&weights) {
        cumulative += weight;
        let end = boundary(cumulative / total);
        if end > start {
            claims.push((start, end, id));
        }
        start = end;
    }
    Some(claims)
}

/// The bucket at which a cumulative share ends, rounded to the nearest.
fn boundary(share: f64) -> u32 {
    (share * f64::from(BUCKETS)).round().clamp(0.0, f64::from(BUCKETS)) as u32
}

/// A member of the `x-splitway` dictionary (RFC 9651): the variant is a token
/// if it begins with a letter, and else a string.
fn stamp(experiment: &str, variant: &str) -> String {
    if variant.starts_with(|c: char| c.is_ascii_alphabetic()) {
        format!("{experiment}={variant}")
    } else {
        format!("{experiment}=\"{variant}\"")
    }
}
