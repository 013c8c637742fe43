//! Envoy's response flags, which the proxy passes as the bits of a number.

/// Names by bit (Envoy 1.40, `CoreResponseFlag`), as in Envoy's access logs.
const NAMES: &[u8] = b"LH,UH,UT,LR,UR,UF,UC,UO,NR,DI,FI,RL,UAEX,RLSE,DC,URX,SI,IH,DPE,UMSDR,RFCF,NFCF,DT,UPE,NC,OM,DF,DO,DR,UDO";

/// The client left: `DC` (HTTP/1) or `DR` (HTTP/2 and later).
pub(crate) const CLIENT_LEFT: u64 = 1 << 14 | 1 << 28;

/// Returns the names of the flags, joined by commas; empty for none.
pub(crate) fn names(bits: u64) -> String {
    let mut all = String::new();
    let mut bits = bits;
    for name in NAMES.split(|byte| *byte == b',') {
        if bits & 1 != 0 {
            if !all.is_empty() {
                all.push(',');
            }
            all.push_str(std::str::from_utf8(name).unwrap_or_default());
        }
        bits >>= 1;
    }
    all
}

#[cfg(test)]
mod tests {
    #[test]
    fn flags_have_names() {
        assert_eq!(super::names(0), "");
        assert_eq!(super::names(1 << 5 | 1 << 15), "UF,URX");
        assert_eq!(super::names(super::CLIENT_LEFT), "DC,DR");
        assert_eq!(super::names(u64::MAX).split(',').count(), 30);
    }
}
