//! Which functions of a linked module are cut, by their demangled names.
//!
//! The standard library renames its insides now and then, so the names fit one compiler ([`COMPILER`]) and perhaps
//! others. A rule names a function, all of a module, or a trait's method, each as a whole path: a function that merely
//! has a similar name is left alone. If a rule that must fit something fits nothing, no cut is made at all.

/// The compiler whose names these are. CI's compiler must be one that they fit.
pub(crate) const COMPILER: &str = "1.95";

/// What a function becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Reports the place of a panic, which is its last parameter, and traps.
    Located,
    /// Reports a panic without a place, and traps.
    Bare,
    /// Traps: nothing calls it once the others are replaced.
    Trap,
    /// Answers no.
    False,
}

/// Whether a module must have a function that a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Always,
    /// Where the standard library has a standard error to write to.
    OnWasi,
    /// A module may do without.
    Never,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    /// The function of this path.
    Function(&'static str),
    /// Everything that this path begins with, methods of types in it included.
    Inside(&'static str),
    /// This method of this trait, of any type.
    Method { of: &'static str, name: &'static str },
}

/// One line of the lists.
#[derive(Debug)]
pub(crate) struct Rule {
    name: Name,
    needed: Needed,
    /// What becomes of the functions that it fits.
    pub(crate) body: Body,
}

const fn function(path: &'static str, needed: Needed, body: Body) -> Rule {
    Rule { name: Name::Function(path), needed, body }
}

const fn inside(path: &'static str, needed: Needed) -> Rule {
    Rule { name: Name::Inside(path), needed, body: Body::Trap }
}

/// Every cut. The first rule that fits a function decides.
///
/// `Debug` is for messages of panics and for people: a test sees to it that no text of the engine's or the filter's is
/// made by it. Whether a character is alphabetic or a digit takes tables of 3 kB; the engine asks for it in the names of
/// a pattern's groups alone, and refuses those beyond ASCII before.
pub(crate) const RULES: [Rule; 22] = [
    function("core::panicking::panic_fmt", Needed::Always, Body::Located),
    function("core::panicking::assert_failed_inner", Needed::Always, Body::Located),
    function("core::str::slice_error_fail", Needed::Always, Body::Located),
    function("core::str::slice_error_fail_rt", Needed::Always, Body::Located),
    function("core::slice::index::slice_index_fail", Needed::Always, Body::Located),
    function("core::result::unwrap_failed", Needed::Always, Body::Located),
    // They only make a text for the above.
    function("core::panicking::panic", Needed::Never, Body::Located),
    function("core::panicking::panic_bounds_check", Needed::Never, Body::Located),
    function("core::option::expect_failed", Needed::Never, Body::Located),
    function("core::option::unwrap_failed", Needed::Never, Body::Located),
    function("core::slice::copy_from_slice_impl::len_mismatch_fail", Needed::Never, Body::Located),
    function("std::alloc::rust_oom", Needed::Always, Body::Bare),
    function("std::panicking::panic_with_hook", Needed::Always, Body::Bare),
    function("__rustc::rust_begin_unwind", Needed::Always, Body::Bare),
    Rule {
        name: Name::Method { of: "core::fmt::Debug", name: "fmt" },
        needed: Needed::Always,
        body: Body::Trap,
    },
    // What only those used. Tables of functions keep it, so it would stay.
    inside("std::panicking", Needed::Always),
    inside("std::sys::backtrace", Needed::Always),
    inside("std::io::default_write_fmt", Needed::OnWasi),
    inside("std::sys::stdio", Needed::OnWasi),
    inside("core::panic::location::Location", Needed::OnWasi),
    function("core::unicode::unicode_data::alphabetic::lookup_slow", Needed::Always, Body::False),
    function("core::unicode::unicode_data::n::lookup_slow", Needed::Always, Body::False),
];

impl Rule {
    /// What it looks for, for messages.
    pub(crate) fn name(&self) -> String {
        match self.name {
            Name::Function(path) => path.to_owned(),
            Name::Inside(path) => format!("{path}::…"),
            Name::Method { of, name } => format!("<… as {of}>::{name}"),
        }
    }

    pub(crate) fn is_needed(&self, on_wasi: bool) -> bool {
        match self.needed {
            Needed::Always => true,
            Needed::OnWasi => on_wasi,
            Needed::Never => false,
        }
    }

    fn fits(&self, function: &str) -> bool {
        match self.name {
            Name::Function(path) => function == path,
            Name::Inside(path) => owner(function)
                .strip_prefix(path)
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_')),
            Name::Method { of, name } => function
                .strip_suffix(name)
                .and_then(|rest| rest.strip_suffix(">::"))
                .and_then(|rest| rest.strip_suffix(of))
                .is_some_and(|rest| rest.starts_with('<') && rest.ends_with(" as ")),
        }
    }
}

/// The rule for a function, by its symbol.
pub(crate) fn rule(symbol: &str) -> Option<usize> {
    let name = demangled(symbol)?;
    RULES.iter().position(|rule| rule.fits(&name))
}

/// A function's path as in the source, without hashes; `None` for a symbol that Rust did not make.
fn demangled(symbol: &str) -> Option<String> {
    // The linker numbers symbols that are there twice.
    let symbol = match symbol.rsplit_once('.') {
        Some((symbol, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => symbol,
        _ => symbol,
    };
    Some(format!("{:#}", rustc_demangle::try_demangle(symbol).ok()?))
}

/// Where a function belongs: the path of its type if it is a method or drops a value, otherwise its own.
fn owner(function: &str) -> &str {
    let mut owner = ["core::ptr::drop_in_place::<", "core::ptr::drop_in_place<"]
        .iter()
        .find_map(|drops| function.strip_prefix(drops))
        .unwrap_or(function);
    while let Some(rest) = ["<", "&", "mut "].iter().find_map(|sign| owner.strip_prefix(sign)) {
        owner = rest;
    }
    owner
}

#[cfg(test)]
impl Rule {
    /// The symbol of a function that this rule fits.
    pub(crate) fn symbol(&self) -> String {
        let path = match self.name {
            Name::Function(path) => path.to_owned(),
            Name::Inside(path) => format!("{path}::some"),
            Name::Method { of, name } => {
                format!("_$LT$$RF$T$u20$as$u20${}$GT$::{name}", of.replace("::", ".."))
            }
        };
        let parts: String = path.split("::").map(|part| format!("{}{part}", part.len())).collect();
        format!("_ZN{parts}17h0e491ff7573ac62eE")
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.needed == Needed::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule_of(symbol: &str) -> Option<String> {
        rule(symbol).map(|index| RULES[index].name())
    }

    /// Symbols of both manglings, as rustc 1.95 wrote them.
    #[test]
    fn rules_fit_whole_paths() {
        for (symbol, wanted) in [
            ("_RNvNtCsdHhIpgkcIfN_4core9panicking9panic_fmt", "core::panicking::panic_fmt"),
            ("_RNvNtCsdHhIpgkcIfN_4core3str16slice_error_fail", "core::str::slice_error_fail"),
            ("_RNvNtCsdHhIpgkcIfN_4core3str19slice_error_fail_rt", "core::str::slice_error_fail_rt"),
            ("_RNvCsfLfy6EI15iL_7___rustc17rust_begin_unwind", "__rustc::rust_begin_unwind"),
            ("_RNvNtCset5xJoy1xWQ_3std9panicking15panic_with_hook", "std::panicking::panic_with_hook"),
            ("_RNCNvNtCset5xJoy1xWQ_3std9panicking13panic_handler0B5_", "std::panicking::…"),
            (
                "_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0e491ff7573ac62eE",
                "<… as core::fmt::Debug>::fmt",
            ),
            ("_RNvXsW_NtNtCsdHhIpgkcIfN_4core3fmt3nummNtB7_5Debug3fmt.113", "<… as core::fmt::Debug>::fmt"),
            (
                "_RNvYNtNtNtNtCset5xJoy1xWQ_3std3sys5stdio4unix6StderrNtNtBa_2io5Write9write_fmtBa_",
                "std::sys::stdio::…",
            ),
            (
                "_RINvNtCsdHhIpgkcIfN_4core3ptr13drop_in_placeNtNvNtCset5xJoy1xWQ_3std9panicking13panic_handler\
                 19FormatStringPayloadEBM_",
                "std::panicking::…",
            ),
            (
                "_RNvXs1i_NtCsdHhIpgkcIfN_4core3fmtRNtNtNtB8_5panic8location8LocationNtB6_7Display3fmt\
                 Cset5xJoy1xWQ_3std",
                "core::panic::location::Location::…",
            ),
        ] {
            assert_eq!(rule_of(symbol).as_deref(), Some(wanted), "{symbol}");
        }
    }

    #[test]
    fn similar_names_are_left_alone() {
        for symbol in [
            // Ours: splitway::panicking::panic_fmt, and one in a crate `mycore`.
            "_RNvNtC8_8splitway9panicking9panic_fmt",
            "_RNvNtC6_6mycore9panicking9panic_fmt",
            // std::panicking_more::f, and a Display.
            "_RNvNtCset5xJoy1xWQ_3std14panicking_more1f",
            "_RNvXsW_NtNtCsdHhIpgkcIfN_4core3fmt3nummNtB7_7Display3fmt",
            // The table of another property.
            "_RNvNtNtNtCsdHhIpgkcIfN_4core7unicode12unicode_data15grapheme_extend11lookup_slow",
            "memcpy",
            "splitway_panicked",
        ] {
            assert_eq!(rule_of(symbol), None, "{symbol}");
        }
    }
}
