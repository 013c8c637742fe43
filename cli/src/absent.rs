//! Commands that this build leaves out: they exist, and name the feature that brings them.

use crate::outcome::Failure;

/// The arguments of a command that is left out: any.
#[cfg(not(all(feature = "analysis", feature = "host")))]
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Absent {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<std::ffi::OsString>,
}

/// The refusal of `command`, which `feature` brings.
pub(crate) fn refusal(command: &str, feature: &str) -> Failure {
    Failure::Usage(format!(
        "this build of splitway leaves out `{command}`; install it with the feature `{feature}`: \
         cargo install --path cli --locked --features {feature}"
    ))
}
