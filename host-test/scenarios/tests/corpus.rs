//! Every scenario of `spec/scenarios` on every host, a test each: `cargo test -p splitway-scenarios
//! --test corpus -- NAME` picks some, `wasmtime/`, `workerd/` or `envoy/` one host.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};
use splitway_scenarios::hosts::envoy::Envoy;
use splitway_scenarios::hosts::in_process::InProcess;
use splitway_scenarios::hosts::wasmtime::Wasmtime;
use splitway_scenarios::hosts::workerd::Workerd;
use splitway_scenarios::{Host, HostName, Loaded, find, load, run};

/// The hosts that scenarios share. Envoy starts with the first scenario that needs it.
struct Hosts {
    wasmtime: Mutex<Option<Wasmtime>>,
    workerd: Mutex<Option<Workerd>>,
    envoy: Mutex<Option<Envoy>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/scenarios");
    let files = find(&[corpus]).expect("the corpus is there");
    let hosts =
        Arc::new(Hosts { wasmtime: Mutex::default(), workerd: Mutex::default(), envoy: Mutex::default() });
    let mut trials = Vec::new();
    for file in files {
        match load(&file) {
            Ok(loaded) => {
                let loaded = Arc::new(loaded);
                for host in HostName::ALL.into_iter().filter(|host| loaded.runs_on(*host)) {
                    trials.push(trial(host, Arc::clone(&loaded), Arc::clone(&hosts)));
                }
            }
            Err(invalid) => {
                trials.push(Trial::test(file.display().to_string(), move || {
                    Err(Failed::from(invalid.to_string()))
                }));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Statics and leaked values are not dropped, and a running Envoy must be.
    drop(hosts.envoy.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

fn trial(host: HostName, loaded: Arc<Loaded>, hosts: Arc<Hosts>) -> Trial {
    Trial::test(format!("{}/{}", host.as_str(), loaded.name), move || {
        let differences = match host {
            HostName::InProcess => run(&loaded, &mut InProcess),
            HostName::Wasmtime => {
                shared(&hosts.wasmtime, || Ok(Wasmtime::new(splitway_envoy::tools::filter_wasm()?)), &loaded)
            }
            HostName::Workerd => shared(&hosts.workerd, Workerd::start, &loaded),
            HostName::Envoy => {
                shared(&hosts.envoy, || Envoy::start(&splitway_envoy::tools::filter_wasm()?), &loaded)
            }
        };
        match differences {
            Ok(differences) if differences.is_empty() => Ok(()),
            Ok(differences) => {
                let shown: Vec<String> = differences.iter().map(ToString::to_string).collect();
                Err(format!("{}\n{}", loaded.file.display(), shown.join("\n")).into())
            }
            Err(error) => Err(format!("{}\n{error:?}", loaded.file.display()).into()),
        }
    })
}

fn shared<H: Host>(
    slot: &Mutex<Option<H>>,
    start: impl FnOnce() -> anyhow::Result<H>,
    loaded: &Loaded,
) -> anyhow::Result<Vec<splitway_scenarios::Difference>> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = Some(start()?);
    }
    run(loaded, slot.as_mut().expect("just put there"))
}
