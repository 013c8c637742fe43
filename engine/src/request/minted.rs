//! The cookie of minted units: `<32 hex digits>.<day of issue>`.

/// The value of the identity cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MintedCookie<'a> {
    pub(crate) id: &'a str,
    /// Days since 1970.
    pub(super) day: i64,
}

impl<'a> MintedCookie<'a> {
    /// `None` for what Splitway cannot have minted.
    pub(crate) fn parse(value: &'a str) -> Option<Self> {
        let (id, day) = value.split_once('.')?;
        let is_hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        let good = id.len() == 32 && id.bytes().all(is_hex) && (1..=6).contains(&day.len());
        let day = day.bytes().try_fold(0_i64, |sum, b| {
            let digit = b.checked_sub(b'0').filter(|digit| *digit < 10)?;
            sum.checked_mul(10)?.checked_add(i64::from(digit))
        })?;
        good.then_some(Self { id, day })
    }
}

/// The unit in the whole value of a cookie that Splitway minted, `<32 hex digits>.<day>`; `None` for any other text.
#[must_use]
pub fn minted_unit(cookie: &str) -> Option<&str> {
    MintedCookie::parse(cookie).map(|minted| minted.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_what_was_minted_is_taken() {
        assert_eq!(MintedCookie::parse(&format!("{ID}.20000")), Some(MintedCookie { id: ID, day: 20_000 }));
        let upper = ID.to_uppercase();
        for bad in [
            "",
            ".",
            ID,
            &format!("{ID}."),
            &format!("{ID}.x"),
            &format!("{ID}0.1"),
            &format!("{upper}.1"),
            &format!("{ID}.-1"),
            &format!("{ID}.1234567"),
            &format!("{ID}.1.1"),
        ] {
            assert_eq!(MintedCookie::parse(bad), None, "{bad}");
        }
    }
}
