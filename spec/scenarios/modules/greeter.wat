;; A Proxy-Wasm module of a page, to show that scenarios run any module: it adds its configuration to
;; requests as `x-greeting`, logs that it did, and refuses an empty configuration.
;; greeter.wasm is this file; a test compares them.
(module
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-greeting")
  (data (i32.const 16) "greeted")
  (global $config (mut i32) (i32.const 0))
  (global $size (mut i32) (i32.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  ;; The configuration is all that the host hands over.
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param $root i32) (param $bytes i32) (result i32)
    (if (i32.eqz (local.get $bytes)) (then (return (i32.const 0))))
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $bytes) (i32.const 64) (i32.const 68)))
    (global.set $config (i32.load (i32.const 64)))
    (global.set $size (i32.load (i32.const 68)))
    (i32.const 1))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 0) (i32.const 0) (i32.const 10) (global.get $config) (global.get $size)))
    (drop (call $log (i32.const 2) (i32.const 16) (i32.const 7)))
    (i32.const 0)))
