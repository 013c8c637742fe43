//! Exposures: how they show the unit, and where they go.

use splitway_document::{Code, Place, describe_text, prose, said};

use super::compiler::Compiler;
use crate::plan::{ExposurePolicy, Otlp, Sinks, headers};
use crate::wire;

/// Shortest secret key of the pseudonym, in bytes.
const MIN_KEY: usize = 16;
/// Least and most bytes of a worker's buffer.
const BUFFER: std::ops::RangeInclusive<u32> = 65_536..=16_777_216;

impl Compiler<'_> {
    pub(super) fn exposure(&mut self, at: Place<'_>) -> ExposurePolicy {
        let default = wire::Exposure::default();
        let exposure = self.config.exposure.as_ref().unwrap_or(&default);
        let key = exposure.key.as_ref().map(|key| self.secret(at.key("key"), key, MIN_KEY));
        match (exposure.unit, key) {
            (Some(wire::UnitForm::Raw), _) => ExposurePolicy::Raw,
            // The key is withheld, or a problem.
            (_, Some(None)) => ExposurePolicy::Nothing,
            (Some(wire::UnitForm::None), _) | (None, None) => ExposurePolicy::Nothing,
            (Some(wire::UnitForm::Pseudonym) | None, Some(Some(key))) => ExposurePolicy::pseudonym(&key),
            (Some(wire::UnitForm::Pseudonym), None) => {
                // Without a secret, whoever has a list of ids can undo it.
                self.error_in(&at, "key", Code::MissingField, "a key for the pseudonym", "none");
                ExposurePolicy::Nothing
            }
        }
    }

    pub(super) fn sinks(&mut self, at: Place<'_>) -> Sinks {
        let default = wire::Exposure::default();
        let exposure = self.config.exposure.as_ref().unwrap_or(&default);
        let once_per_unit = exposure.once_per == Some(wire::OncePer::Unit);
        let filter_state = exposure.filter_state.unwrap_or(false);
        if once_per_unit && filter_state {
            // An access logger writes a line for every request.
            self.error_in(&at, "filter_state", Code::Conflict, "`once_per: request`", "`unit`");
        }
        Sinks {
            once_per_unit,
            details: exposure.details.unwrap_or(false),
            log: exposure.log.unwrap_or(true),
            filter_state,
            otlp: exposure.otlp.as_ref().and_then(|otlp| self.otlp(at.key("otlp"), otlp)),
        }
    }

    fn otlp(&mut self, at: Place<'_>, otlp: &wire::Otlp) -> Option<Otlp> {
        let cluster = self.text(at.key("cluster"), &otlp.cluster);
        let path = otlp.path.as_deref().unwrap_or("/v1/logs");
        if !path.starts_with('/') || !headers::is_value(path) {
            self.error_in(&at, "path", Code::InvalidValue, "a path such as /v1/logs", &describe_text(path));
        }
        let timeout_ms = self.period(at.key("timeout"), otlp.timeout.as_ref(), 5_000);
        if !(100..=60_000).contains(&timeout_ms) {
            let found = otlp.timeout.as_ref().map_or("", |period| &period.0);
            self.error_in(&at, "timeout", Code::OutOfRange, "100ms to 60s", found);
        }
        let buffer = otlp.buffer.unwrap_or(4_194_304);
        if !BUFFER.contains(&buffer) {
            self.error_in(&at, "buffer", Code::OutOfRange, "65536 to 16777216", &prose!("{buffer}"));
        }
        let mut headers = Vec::new();
        for (name, value) in otlp.headers.iter() {
            let list = at.key("headers");
            let at = list.key(name);
            let name = self.header_name(at, name);
            let Some(bytes) = self.secret(at, value, 0) else { continue };
            let text = std::str::from_utf8(&bytes).unwrap_or("\n");
            if !headers::is_value(text) {
                let found = match value {
                    wire::Secret::Text(text) => describe_text(text),
                    wire::Secret::Variable(_) => said("another in the variable").to_owned(),
                };
                self.error(at, Code::InvalidValue, "a header value", &found);
            }
            headers.extend(name.map(|name| (name, text.into())));
        }
        Some(Otlp {
            path: path.into(),
            host: otlp.host.as_deref().unwrap_or(&otlp.cluster).into(),
            cluster: cluster?,
            headers: headers.into(),
            timeout_ms: u32::try_from(timeout_ms).unwrap_or(5_000),
            buffer: usize::try_from(buffer).unwrap_or(usize::MAX),
        })
    }
}
