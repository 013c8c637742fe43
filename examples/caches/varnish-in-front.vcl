# Varnish in front of Envoy: clients -> Varnish -> Envoy with Splitway -> application.
#
# Splitway's `Vary` does the work. Varnish passes requests with cookies uncached, so where the unit
# is a cookie, keep that one and drop the others: they would give each visitor copies of their own.
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8080"; # Envoy
}

sub vcl_recv {
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    if (req.http.Cookie ~ "(^|;\s*)uid=") {
        set req.http.Cookie = regsub(req.http.Cookie, "^(?:.*;\s*)?(uid=[^;]*).*$", "\1");
        return (hash);
    }
    unset req.http.Cookie;
}
