# Varnish behind Envoy: clients -> Envoy with Splitway -> Varnish -> application.
#
# One copy per variant, not per visitor: the better place where the hit rate matters. The variant is
# part of the key.
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8080"; # the application
}

sub vcl_recv {
    # The application sees the variant in `x-splitway`; what else tells visitors apart is not for a
    # shared copy.
    unset req.http.Cookie;
}

sub vcl_hash {
    hash_data(req.http.x-splitway);
}
