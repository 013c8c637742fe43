//! Colour, where someone can see it.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Effects};
use terminal_size::terminal_size_of;

/// Columns where nobody can see how many there are.
const COLUMNS: usize = 120;

/// Columns of the terminal that the output goes to.
pub(crate) fn width() -> usize {
    let size = terminal_size_of(std::io::stdout()).or_else(|| terminal_size_of(std::io::stderr()));
    size.map_or(COLUMNS, |(width, _)| usize::from(width.0))
}

/// Whether text gets colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    is_coloured: bool,
}

impl Style {
    /// For stdout.
    pub(crate) fn stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// For stderr.
    pub(crate) fn stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// For text that is not shown on a terminal.
    #[cfg(feature = "host")]
    pub(crate) fn plain() -> Self {
        Self { is_coloured: false }
    }

    /// As a terminal can show them and its user wants them: `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`.
    fn of(stream: &impl RawStream) -> Self {
        Self { is_coloured: AutoStream::choice(stream) != ColorChoice::Never }
    }

    /// The same for problems, as wide as the terminal.
    pub(crate) fn look(self) -> splitway_document::Look {
        splitway_document::Look { is_coloured: self.is_coloured, width: width() }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.painted(AnsiColor::Red.on_default() | Effects::BOLD, text)
    }

    #[cfg(any(feature = "analysis", feature = "host"))]
    pub(crate) fn yellow(self, text: &str) -> String {
        self.painted(AnsiColor::Yellow.on_default() | Effects::BOLD, text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.painted(AnsiColor::Green.on_default(), text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.painted(AnsiColor::Cyan.on_default(), text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.painted(anstyle::Style::new().bold(), text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.painted(anstyle::Style::new().dimmed(), text)
    }

    fn painted(self, style: anstyle::Style, text: &str) -> String {
        if self.is_coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
