//! The targets: each takes any bytes, and panics if what must hold does not.

use serde_json::{Value, json};
use splitway_engine::bucketing::BUCKETS;
use splitway_engine::qa_token::{Choice, Claims, TokenOutcome, sign};
use splitway_engine::{
    Code, Decision, Document, Entropy, HeaderChange, MAX_PROBLEMS, MAX_VALUE, NoTrace, Plan, Problems,
    Redirection, RequestView, Rewrite, Served, Source, Timestamp, compile, content_hash,
    private_cache_control,
};

const NOW: Timestamp = Timestamp(1_795_262_400_000);

/// A plan decides for a few requests without panicking, the same each time.
fn exercise(plan: &Plan) {
    let headers: [(&[u8], &[u8]); 6] = [
        (b":method", b"GET"),
        (b":path", b"/checkout/a?uid=q&x=%41"),
        (b":authority", b"Shop.Example:443"),
        (b"x-user", b"unit-1"),
        (b"cookie", b"uid=unit-2; a=b"),
        (b"x-forwarded-for", b"10.0.0.1, 192.0.2.7"),
    ];
    for count in 0..=headers.len() {
        let request = RequestView::new(&headers[..count]);
        let decision = plan.decide(&request, NOW, &mut NoTrace);
        assert_eq!(decision, plan.decide(&request, NOW, &mut NoTrace));
        check_actions(plan, &decision, &request);
        for assignment in &decision.assignments {
            let id = plan.context_id(&decision, assignment, &request);
            let record = plan.exposure(assignment, id.as_deref(), NOW, &Served::default()).unwrap().to_json();
            serde_json::from_str::<Value>(&record).unwrap();
        }
    }
    for (_, experiment) in plan.experiments() {
        let total: f64 = experiment.shares().iter().sum();
        assert!(total.is_finite());
        assert!(experiment.owned_buckets() <= BUCKETS);
        assert!(experiment.active_buckets(NOW) <= experiment.owned_buckets());
    }
}

/// Whatever a plan puts into a message is fit for one.
fn check_actions(plan: &Plan, decision: &Decision, request: &RequestView<'_>) {
    let field = |value: &str| assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
    [plan.stamp(decision).as_deref(), plan.cluster(decision), plan.host(decision)]
        .into_iter()
        .flatten()
        .for_each(field);
    for change in plan.request_headers(decision).chain(plan.response_headers(decision)) {
        match change {
            HeaderChange::Set(name, value) | HeaderChange::Add(name, value) => {
                field(name);
                field(value);
            }
            HeaderChange::Remove(name) => field(name),
        }
    }
    if let Rewrite::To(path) = plan.path(decision, request.path_and_query()) {
        check_path(&path);
    }
    if let Redirection::To(status, location) = plan.redirect(decision, request) {
        assert!(matches!(status, 302 | 303 | 307), "{status}");
        check_path(&location);
    }
    [plan.vary(decision), plan.shadow(decision), plan.set_cookie(decision, NOW).as_deref()]
        .into_iter()
        .flatten()
        .for_each(field);
    let mut steps = plan.steps(request);
    plan.decide(request, NOW, &mut steps);
    if let Some(steps) = steps {
        let line = String::from(steps);
        assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line:?}");
    }
}

fn check_problems(problems: &Problems) {
    assert!(problems.has_errors());
    assert!(problems.len() <= MAX_PROBLEMS + 1);
    for problem in problems {
        assert!(!problem.expected.is_empty() && !problem.found.is_empty(), "{problem:?}");
    }
}

/// A document that is accepted works, and is the same document after a round
/// through canonical JSON, which is what the filter is given.
fn document(parsed: Result<Document, Problems>) {
    let document = match parsed {
        Ok(document) => document,
        Err(problems) => return check_problems(&problems),
    };
    let again = Document::from_json(document.to_json().as_bytes()).unwrap();
    // The tools write canonical JSON; only they must read it back to the last bit.
    if cfg!(feature = "yaml") {
        assert_eq!(content_hash(&again), content_hash(&document));
        assert_eq!(again.to_json(), document.to_json());
    }
    match compile(&document) {
        Ok(plan) => {
            exercise(&plan);
            exercise(&compile(&again).unwrap());
        }
        Err(problems) => {
            check_problems(&problems);
            assert!(compile(&again).is_err());
        }
    }
}

pub(crate) fn config_json(input: &[u8]) {
    let read = Document::from_json(input);
    let is_json = serde_json::from_slice::<Value>(input).is_ok();
    match &read {
        Ok(_) => assert!(is_json),
        // A limit is ours alone.
        Err(problems) if problems.iter().any(|problem| problem.code == Code::Syntax) => assert!(!is_json),
        Err(_) => {}
    }
    document(read);
}

#[cfg(feature = "yaml")]
pub(crate) fn config_yaml(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        document(Document::from_yaml(text));
    }
}

/// Each line is a `cookie` header.
pub(crate) fn cookies(input: &[u8]) {
    let headers: Vec<(&[u8], &[u8])> =
        input.split(|b| *b == b'\n').map(|line| (&b"cookie"[..], line)).collect();
    let request = RequestView::new(&headers);
    for name in ["uid", "__Host-splitway", "a"] {
        let Some(value) = request.cookie(name) else { continue };
        assert!(!value.is_empty() && value.len() <= MAX_VALUE && !value.contains(';'));
        assert_eq!(value.trim_matches([' ', '\t']), value);
        // Found where it was: after its name and an equals sign, in one of the lines.
        let found = headers
            .iter()
            .any(|(_, line)| line.windows(value.len()).any(|window| window == value.as_bytes()));
        assert!(found);
    }
}

pub(crate) fn query(input: &[u8]) {
    let headers: [(&[u8], &[u8]); 2] = [(b":path", input), (b"x-forwarded-for", input)];
    let request = RequestView::new(&headers);
    for name in ["uid", "", "é"] {
        if let Some(value) = request.query(name) {
            assert!(value.len() <= MAX_VALUE);
        }
        if let Some(unit) = Source::Query(name.into()).read(&request) {
            assert!(!unit.trim_ascii().is_empty());
        }
    }
    assert!(!request.path().contains(&b'?') && input.trim_ascii().starts_with(request.path()));
    let _ = (request.client_address(0), request.host());
}

/// A rule in JSON, a NUL, and a value for every place it can look at.
pub(crate) fn targeting(input: &[u8]) {
    let (rule, value) = input.split_at(input.iter().position(|b| *b == 0).unwrap_or(input.len()));
    let Ok(rule) = serde_json::from_slice::<Value>(rule) else { return };
    let one = |rule: Value| {
        let config = json!({
            "version": 1,
            "unit": [{ "header": "x-user" }],
            "attributes": { "plan": { "header": "x-plan" } },
            "experiments": [{ "id": "e", "targeting": rule, "variants": [{ "id": "a" }] }],
        });
        Document::from_json(config.to_string().as_bytes()).and_then(|document| compile(&document))
    };
    let Ok(plan) = one(rule.clone()) else { return };
    let value = value.get(1..).unwrap_or_default();
    let cookie = [b"c=", value].concat();
    let path = [b"/", value].concat();
    let headers: Vec<(&[u8], &[u8])> = vec![
        (b":path", &path),
        (b":method", value),
        (b":authority", value),
        (b"cookie", &cookie),
        (b"x-plan", value),
        (b"user-agent", value),
        (b"x-forwarded-for", value),
        (b"x-user", b"unit-1"),
    ];
    let request = RequestView::new(&headers);
    let holds = |plan: &Plan| !plan.decide(&request, NOW, &mut NoTrace).assignments.is_empty();
    // What holds does not hold when negated, missing values included.
    if let Ok(negated) = one(json!({ "not": rule })) {
        assert_ne!(holds(&plan), holds(&negated));
    }
}

/// A path stays on this host and below what it is rewritten to.
fn check_path(path: &[u8]) {
    let shown = path.escape_ascii();
    assert!(path.starts_with(b"/") && !path.starts_with(b"//") && !path.starts_with(b"/\\"), "{shown}");
    assert!(path.iter().all(|b| *b > 0x20 && *b != 0x7f), "{shown}");
}

/// What the most lenient of servers makes of the path: everything decoded once,
/// parameters dropped, dot segments resolved. `None` if that leaves the root.
fn resolved(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let end = path.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    let mut decoded = Vec::new();
    let mut rest = &path[..end];
    while let [first, tail @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                decoded.push((hex(*high)? * 16 + hex(*low)?) as u8);
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    let mut stack: Vec<Vec<u8>> = Vec::new();
    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
        match segment.split(|b| *b == b';').next().unwrap_or_default() {
            b"" | b"." => {}
            b".." => drop(stack.pop()?),
            name => stack.push(name.to_vec()),
        }
    }
    Some(stack)
}

pub(crate) fn rewrite(input: &[u8]) {
    for (prefix, replacement) in [("/checkout", "/v2"), ("/", "/v2/deep"), ("/checkout", "/"), ("/a/b", "/c")]
    {
        let path = json!({ "prefix": prefix, "replace_prefix": replacement });
        let config = json!({
            "version": 1,
            "unit": [{ "header": "x-user" }],
            "experiments": [{ "id": "e", "variants": [{ "id": "a", "route": { "path": path } }] }],
        });
        let plan = compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap();
        let headers: [(&[u8], &[u8]); 2] = [(b":path", input), (b"x-user", b"u")];
        let request = RequestView::new(&headers);
        let decision = plan.decide(&request, NOW, &mut NoTrace);
        let Rewrite::To(path) = plan.path(&decision, request.path_and_query()) else { continue };
        check_path(&path);
        let below = replacement.trim_end_matches('/');
        assert!(path.starts_with(below.as_bytes()));
        let segments = resolved(&path).expect("stays below the root");
        let wanted: Vec<&[u8]> = below.as_bytes().split(|b| *b == b'/').filter(|s| !s.is_empty()).collect();
        let stays = segments.len() >= wanted.len() && segments.iter().zip(&wanted).all(|(a, b)| a == b);
        assert!(stays, "{} leaves {replacement}", path.escape_ascii());
    }
}

/// A regular expression, its replacement and a path, with NULs between: what comes out is a path of
/// this host, and a redirect ends.
pub(crate) fn path_regex(input: &[u8]) {
    let mut parts = input.splitn(3, |b| *b == 0);
    let (Some(regex), Some(replacement), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let (Ok(regex), Ok(replacement)) = (std::str::from_utf8(regex), std::str::from_utf8(replacement)) else {
        return;
    };
    let rewrite = json!({ "regex": regex, "replacement": replacement });
    for route in [json!({ "path": rewrite }), json!({ "redirect": { "path": rewrite, "status": 307 } })] {
        let config = json!({
            "version": 1,
            "unit": [{ "header": "x-user" }],
            "experiments": [{ "id": "e", "variants": [{ "id": "a", "route": route }] }],
        });
        let Ok(plan) = Document::from_json(config.to_string().as_bytes()).and_then(|d| compile(&d)) else {
            return;
        };
        let mut at = path.to_vec();
        for redirects in 0..2 {
            let headers: [(&[u8], &[u8]); 2] = [(b":path", &at), (b"x-user", b"u")];
            let request = RequestView::new(&headers);
            let decision = plan.decide(&request, NOW, &mut NoTrace);
            if let Rewrite::To(path) = plan.path(&decision, request.path_and_query()) {
                check_path(&path);
                resolved(&path).expect("stays below the root");
            }
            let Redirection::To(_, location) = plan.redirect(&decision, &request) else { break };
            assert_eq!(redirects, 0, "redirected again");
            check_path(&location);
            resolved(&location).expect("stays below the root");
            at = location;
        }
    }
}

/// Whatever comes as identity, consent, baggage or cache directives, answers are well-formed and an id
/// is one that was minted.
pub(crate) fn identity(input: &[u8]) {
    #[derive(Debug)]
    struct Fixed;
    impl Entropy for Fixed {
        fn bits(&self) -> Option<[u8; 16]> {
            Some([0x5a; 16])
        }
    }
    let config = json!({
        "version": 1,
        "unit": [],
        "mint": { "cookie": "__Host-s", "provisional": { "key": "0123456789abcdef", "traits": [{ "header": "user-agent" }] } },
        "consent": { "mode": "exempt", "granted": { "header": { "name": "x-consent", "exists": true } } },
        "exposure": { "unit": "raw" },
        "propagation": { "baggage": true },
        "experiments": [{ "id": "e", "variants": [{ "id": "a" }, { "id": "b" }] }],
    });
    let plan = compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap();
    let cookie = [b"__Host-s=", input].concat();
    let headers: [(&[u8], &[u8]); 6] = [
        (b":path", b"/"),
        (b"cookie", &cookie),
        (b"user-agent", input),
        (b"x-consent", input),
        (b"sec-gpc", input),
        (b"baggage", input),
    ];
    let request = RequestView::new(&headers).with_entropy(&Fixed);
    let decision = plan.decide(&request, NOW, &mut NoTrace);
    check_actions(&plan, &decision, &request);
    let is_bot = decision.assignments.is_empty();
    for assignment in &decision.assignments {
        let Some(id) = plan.context_id(&decision, assignment, &request) else { continue };
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{id}"
        );
    }
    if let Some(baggage) = plan.baggage(&decision, &request) {
        let ours =
            baggage.split(|b| *b == b',').filter(|member| member.trim_ascii().starts_with(b"splitway.e="));
        assert_eq!(ours.count(), usize::from(!is_bot), "{}", baggage.escape_ascii());
    }
    let directives = private_cache_control(input);
    let names: Vec<String> = directives
        .split(|b| *b == b',')
        .map(|directive| {
            directive.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii().to_ascii_lowercase()
        })
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect();
    assert!(names.iter().any(|name| name == "private" || name == "no-store"), "{names:?}");
    assert!(!names.iter().any(|name| name == "public" || name == "s-maxage"), "{names:?}");
}

pub(crate) fn tokens(input: &[u8]) {
    let secret = "a-secret-of-at-least-32-characters";
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "qa_tokens": { "header": "x-qa", "cookie": "qa", "query": "qa", "keys": [{ "id": "k", "secret": secret }] },
        "experiments": [{ "id": "e", "variants": [{ "id": "a" }, { "id": "b" }] }],
    });
    let plan = compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap();
    let outcome = |token: &[u8]| {
        let headers: [(&[u8], &[u8]); 2] = [(b"x-user", b"u"), (b"x-qa", token)];
        plan.decide(&RequestView::new(&headers), NOW, &mut NoTrace).token
    };
    // Who has no key is never accepted, whatever they send.
    assert!(matches!(outcome(input), TokenOutcome::None | TokenOutcome::Forged));
    // Who has one may write anything into a token, and gets no further than its experiment.
    let text = String::from_utf8_lossy(input).into_owned();
    let claims = Claims {
        choice: Some(Choice { experiment: text.clone(), variant: "b".to_owned() }),
        debug: false,
        subject: Some(text),
        expires: NOW.0 / 1000 + 60,
        nonce: String::new(),
    };
    assert_ne!(outcome(sign(&claims, "k", secret.as_bytes()).as_bytes()), TokenOutcome::Accepted);
}

/// Bucket ranges out of pairs of bytes: what is accepted has no overlap, and
/// every bucket of a variant split is somebody's.
pub(crate) fn buckets(input: &[u8]) {
    let number = |pair: &[u8]| pair.iter().fold(0_u32, |n, b| n * 256 + u32::from(*b)) % 10_100;
    let ranges: Vec<[u32; 2]> =
        input.chunks_exact(4).map(|four| [number(&four[..2]), number(&four[2..])]).collect();
    let half = ranges.len() / 2;
    let experiment = |id: &str, ranges: &[[u32; 2]]| json!({ "id": id, "layer": "l", "buckets": ranges, "variants": [{ "id": "a" }] });
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "layers": [{ "id": "l" }],
        "experiments": [experiment("e", &ranges[..half]), experiment("f", &ranges[half..])],
    });
    let mut owners = vec![0_u32; BUCKETS as usize];
    let valid = half > 0 && ranges.iter().all(|[first, last]| first <= last && *last < BUCKETS);
    if valid {
        for [first, last] in &ranges {
            owners[*first as usize..=*last as usize].iter_mut().for_each(|count| *count += 1);
        }
    }
    let free_of_overlap = owners.iter().all(|count| *count <= 1);
    let compiled = Document::from_json(config.to_string().as_bytes()).and_then(|document| compile(&document));
    assert_eq!(compiled.is_ok(), valid && free_of_overlap, "{ranges:?}");
    if let Ok(plan) = compiled {
        let owned: u32 = plan.experiments().map(|(_, experiment)| experiment.owned_buckets()).sum();
        assert_eq!(owned, owners.iter().sum::<u32>());
    }
}

/// A header that only we may send is ours in every spelling; no other is.
pub(crate) fn headers(input: &[u8]) {
    let config = json!({
        "version": 1,
        "unit": [{ "header": "x-user" }],
        "experiments": [{ "id": "e", "variants": [
            { "id": "a", "request_headers": { "set": { "x-checkout": "v", "accept-language": "de" } } },
        ] }],
    });
    let plan = compile(&Document::from_json(config.to_string().as_bytes()).unwrap()).unwrap();
    for name in input.split(|b| *b == b'\n') {
        let plain: String =
            name.iter().map(|b| if *b == b'_' { '-' } else { char::from(*b).to_ascii_lowercase() }).collect();
        let expected = plain.starts_with("x-splitway") || plain == "x-checkout";
        assert_eq!(plan.is_ours(name), expected, "{}", name.escape_ascii());
    }
}
