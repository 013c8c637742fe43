# The worker in workerd alone: npx workerd serve config.capnp
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "splitway", worker = (
      modules = [
        (name = "worker.js", esModule = embed "worker.js"),
        (name = "splitway.json", json = embed "splitway.json"),
        (name = "splitway-edge/cloudflare", esModule = embed "node_modules/splitway-edge/cloudflare.js"),
        (name = "splitway-edge/worker.js", esModule = embed "node_modules/splitway-edge/worker.js"),
        (name = "splitway-edge/otlp.js", esModule = embed "node_modules/splitway-edge/otlp.js"),
        (name = "splitway-edge/workerd.js", esModule = embed "node_modules/splitway-edge/workerd.js"),
        (name = "splitway-edge/splitway.js", esModule = embed "node_modules/splitway-edge/splitway.js"),
        (name = "splitway-edge/splitway_edge_bg.wasm", wasm = embed "node_modules/splitway-edge/splitway_edge_bg.wasm"),
      ],
      compatibilityDate = "2026-11-01",
      # All that it fetches comes from the stand-in.
      globalOutbound = "origin",
    )),
    (name = "origin", worker = (
      modules = [(name = "origin.js", esModule = embed "origin.js")],
      compatibilityDate = "2026-11-01",
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "splitway")],
);
