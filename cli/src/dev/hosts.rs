//! Which hosts the proxy answers for.
//!
//! A page from elsewhere can have its own name resolve to this machine (DNS rebinding), and then reads what answers here.
//! Its requests still carry that name.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::HOST;

/// Refuses a request for a host that is neither a loopback name, nor `own`, the address of the connection, nor among
/// `named`. One without a host is not a browser's.
///
/// # Errors
/// The host, for a message.
pub(super) fn check<B>(request: &Request<B>, own: IpAddr, named: &[String]) -> Result<(), String> {
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let headers = request.headers().get_all(HOST).iter().map(hyper::header::HeaderValue::as_bytes);
    for host in target.into_iter().chain(headers) {
        let host = String::from_utf8_lossy(host).to_ascii_lowercase();
        if !is_known(name(&host), own, named) {
            return Err(host);
        }
    }
    Ok(())
}

/// A host without its port, brackets and the dot at its end.
fn name(host: &str) -> &str {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn is_known(name: &str, own: IpAddr, named: &[String]) -> bool {
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.to_canonical() == own.to_canonical(),
        Err(_) => {
            name == "localhost"
                || name.ends_with(".localhost")
                || named.iter().any(|known| known.eq_ignore_ascii_case(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(host: &str) -> bool {
        let request = Request::builder().uri("/__splitway").header(HOST, host).body(()).unwrap();
        check(&request, [192, 0, 2, 1].into(), &["shop.example".to_owned()]).is_err()
    }

    #[test]
    fn loopback_names_and_named_ones_are_known() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "a.localhost",
            "127.0.0.1:8000",
            "127.9.9.9",
            "[::1]:8000",
            "[::1]",
            "192.0.2.1:80",
            "shop.example",
            "Shop.Example.:8000",
        ] {
            assert!(!is_refused(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "192.0.2.2",
            "127.0.0.1.evil.example:8000",
            "[::2]",
            "sub.shop.example",
            "user@localhost",
            "",
        ] {
            assert!(is_refused(host), "{host}");
        }
        let absolute =
            Request::builder().uri("http://evil.example/").header(HOST, "localhost").body(()).unwrap();
        assert_eq!(check(&absolute, [127, 0, 0, 1].into(), &[]), Err("evil.example".to_owned()));
        assert!(check(&Request::builder().uri("/").body(()).unwrap(), [127, 0, 0, 1].into(), &[]).is_ok());
    }
}
