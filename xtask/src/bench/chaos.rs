use anyhow::Result;
#[derive(clap::Args)]
pub(crate) struct Options {}
pub(super) fn run(_: &Options) -> Result<()> {
    Ok(())
}
