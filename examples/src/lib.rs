//! Small runnable set-ups: `examples/` holds programs, each other folder a config. CI runs all of them.
