//! What is deployed, read from where the command line says.

use std::cell::RefCell;
use std::collections::BTreeSet;

use splitway_deploy::{Module, Refusal, Subject};
use splitway_engine::Secrets;

use super::args::Source;
use crate::filter_module;
use crate::input::Input;
use crate::outcome::Failure;

/// What is deployed, and the text that it came from.
pub(super) struct Sources {
    input: Input,
    pub(super) subject: Subject,
}

impl Sources {
    pub(super) fn read(source: &Source) -> Result<Self, Failure> {
        let input = Input::read_all(&source.config)?;
        let variables = RefCell::new(BTreeSet::new());
        let note = |name: &str| {
            variables.borrow_mut().insert(name.to_owned());
            None
        };
        let (document, plan) = input.plan_with(Secrets::Optional(&note))?;
        let path =
            filter_module::find(source.wasm.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
        let name = path.display();
        let bytes = std::fs::read(&path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let module = Module::new(bytes).map_err(|why| Failure::Usage(format!("{name} {why}")))?;
        let variables = variables.take().into_iter().collect();
        Ok(Self { input, subject: Subject::new(document, plan, variables, module) })
    }

    pub(super) fn failure(&self, refusal: Refusal) -> Failure {
        failure(&self.input, refusal)
    }
}

/// How the command ends if `input` is not rendered.
pub(super) fn failure(input: &Input, refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Request(why) => Failure::Usage(why),
        Refusal::Unfit(why) => Failure::Problems(why),
        Refusal::Config(problems) => input.refuse(&problems),
    }
}
