//! Colour, where someone can see it.

use std::io::IsTerminal as _;

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
        Self::of(std::io::stdout().is_terminal())
    }

    /// For stderr.
    pub(crate) fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    /// For text that is not shown on a terminal.
    #[cfg(feature = "host")]
    pub(crate) fn plain() -> Self {
        Self { is_coloured: false }
    }

    /// <https://no-color.org>: any value but the empty one.
    fn of(is_terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_coloured: is_terminal && !refused }
    }

    /// The same for problems, as wide as the terminal.
    pub(crate) fn look(self) -> splitway_document::Look {
        splitway_document::Look { is_coloured: self.is_coloured, width: width() }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    #[cfg(any(feature = "analysis", feature = "host"))]
    pub(crate) fn yellow(self, text: &str) -> String {
        self.sgr("1;33", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.sgr("32", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.sgr("36", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.sgr("2", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.is_coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
