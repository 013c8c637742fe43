//! `splitway token`: a signed QA override.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use splitway_engine::qa_token::{Choice, Claims, MAX_LIFETIME_MS, sign};
use splitway_engine::{Secrets, Timestamp, read_wire, wire};

use crate::edit::experiment;
use crate::input::{self, Input};
use crate::outcome::{Failure, Outcome, print, print_answer};
use crate::values::Question;

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// The config: a file, or several files or a folder that form one config; `-` is stdin
    #[arg(long, required = true, value_name = "FILE|DIR")]
    config: Vec<PathBuf>,
    /// Experiment of the variant
    #[arg(long, value_name = "ID", requires = "variant")]
    experiment: Option<String>,
    /// Variant that the token's bearer gets
    #[arg(long, value_name = "ID", requires = "experiment")]
    variant: Option<String>,
    /// Only unit for which the token is valid [default: any]
    #[arg(long, value_name = "UNIT")]
    subject: Option<String>,
    /// How long the token is valid, up to 24h
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    expires_in: Duration,
    /// Id of the config's key that signs [default: the last one]
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Make the response list the steps of the decision
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    asked: Question,
}

pub(crate) fn run(args: &Token) -> Outcome {
    let input = Input::read_all(&args.config)?;
    let (document, plan) = input.plan_with(Secrets::Optional(&input::variable))?;
    let config = read_wire(&document);
    let tokens = config.qa_tokens.as_ref().ok_or_else(|| {
        let why = "the config accepts no tokens: add `qa_tokens` with a header, cookie or query, and a key";
        Failure::Usage(format!("{}: {why}", input.name))
    })?;
    let key = key(tokens, args.key.as_deref())?;
    let choice = match (&args.experiment, &args.variant) {
        (Some(experiment), Some(variant)) => {
            must_exist(&config, experiment, variant)?;
            Some(Choice { experiment: experiment.clone(), variant: variant.clone() })
        }
        _ if args.debug => None,
        _ => return Err(Failure::Usage("give --experiment with --variant, or --debug".to_owned())),
    };
    let now = input::at(args.asked.at);
    let lifetime = i64::try_from(args.expires_in.as_millis()).unwrap_or(i64::MAX);
    if !(1_000..=MAX_LIFETIME_MS).contains(&lifetime) {
        return Err(Failure::Usage("--expires-in must be from 1s to 24h".to_owned()));
    }
    let expires = now.0.saturating_add(lifetime) / 1_000;
    let claims =
        Claims { choice, debug: args.debug, subject: args.subject.clone(), expires, nonce: nonce()? };
    let token = sign(&claims, &key.id, &secret(key)?);
    let ways = ways(tokens, &token);
    let ends = Timestamp(expires.saturating_mul(1_000)).to_string();
    if args.asked.json {
        return print_answer(&serde_json::json!({
            "token": token,
            "key": key.id,
            "expires": ends,
            "config": plan.content_hash(),
            "send_as": ways,
        }));
    }
    print(&token)?;
    eprintln!("valid until {ends}");
    for way in ways {
        eprintln!("send it: curl {way}");
    }
    Ok(crate::outcome::Exit::Fine)
}

/// The key that is named, else the last: while two are being rotated, that is the newer one.
fn key<'c>(tokens: &'c wire::QaTokens, id: Option<&str>) -> Result<&'c wire::QaKey, Failure> {
    let found = match id {
        Some(id) => tokens.keys.iter().find(|key| key.id == id),
        None => tokens.keys.last(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = tokens.keys.iter().map(|key| key.id.as_str()).collect();
        Failure::Usage(format!(
            "qa_tokens has no key `{}`; expected one of {}",
            id.unwrap_or_default(),
            known.join(", ")
        ))
    })
}

/// The key's secret, from this command's environment if the config names a variable.
fn secret(key: &wire::QaKey) -> Result<Vec<u8>, Failure> {
    match &key.secret {
        wire::Secret::Text(text) => Ok(text.as_bytes().to_vec()),
        wire::Secret::Variable(variable) => input::variable(&variable.env).ok_or_else(|| {
            let name = &variable.env;
            let what = format!("the secret of the key `{}` is in the environment variable {name}", key.id);
            Failure::Usage(format!(
                "{what}, which is not set: export {name}=… with the value that the proxies use"
            ))
        }),
    }
}

fn must_exist(config: &wire::Config, id: &str, variant: &str) -> Result<(), Failure> {
    let (_, experiment) = experiment(config, id)?;
    let ids = || experiment.variants.iter().map(|variant| variant.id.as_str());
    if ids().any(|known| known == variant) {
        return Ok(());
    }
    let near = splitway_engine::did_you_mean(variant, ids());
    let advice = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(Failure::Usage(format!("no variant `{variant}` in `{id}`{advice}")))
}

/// What curl takes, for each place that the config looks at.
fn ways(tokens: &wire::QaTokens, token: &str) -> Vec<String> {
    let header = tokens.header.as_ref().map(|name| format!("-H '{name}: {token}'"));
    let cookie = tokens.cookie.as_ref().map(|name| format!("-b '{name}={token}'"));
    let query = tokens.query.as_ref().map(|name| format!("-G -d '{name}={token}'"));
    [header, cookie, query].into_iter().flatten().collect()
}

fn nonce() -> Result<String, Failure> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Usage(format!("the system has no random bytes for a token: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `30m`, `12h`.
pub(crate) fn lifetime(text: &str) -> Result<Duration, String> {
    let milliseconds = splitway_document::parse_duration(text);
    milliseconds.map(Duration::from_millis).ok_or_else(|| "expected a duration such as 30m or 12h".to_owned())
}
