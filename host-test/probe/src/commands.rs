//! The commands of a script.

use crate::abi::{Bytes, given, number, pairs, raw, show_pairs};

/// What a command did.
pub(crate) enum Outcome {
    /// It sets the callback's result.
    Return(u32),
    /// It is logged.
    Answer(String),
}

/// Runs one command. `facts` are the callback's arguments.
pub(crate) fn run(command: &str, facts: &str) -> Outcome {
    let words: Vec<&str> = command.split(' ').collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let int = |index: usize| parse(word(index));
    match word(0) {
        "return" => return Outcome::Return(int(1)),
        // Pauses until the last argument of the callback, end of stream, is 1.
        "hold" => return Outcome::Return(u32::from(facts.ends_with(" 0"))),
        "trap" => panic!("the script says so"),
        "loop" => loop {
            std::hint::spin_loop();
        },
        "exit" => std::process::exit(3),
        "say" => {
            println!("{}", &command[4..]);
            return Outcome::Answer(String::new());
        }
        _ => {}
    }
    let answer = headers(&words)
        .or_else(|| buffers(&words))
        .or_else(|| values(&words))
        .or_else(|| shared(&words))
        .or_else(|| callouts(&words))
        .or_else(|| system(&words, facts));
    Outcome::Answer(answer.unwrap_or_else(|| "unknown command".into()))
}

fn headers(words: &[&str]) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let (map, key, value) = (parse(word(1)), word(2), word(3));
    // SAFETY: the host only reads the strings; the out-pointers are valid.
    Some(unsafe {
        match word(0) {
            "get" => bytes(given(|data, size| {
                raw::proxy_get_header_map_value(map, key.as_ptr(), key.len(), data, size)
            })),
            "add" => {
                raw::proxy_add_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len())
                    .to_string()
            }
            "set" => {
                raw::proxy_replace_header_map_value(map, key.as_ptr(), key.len(), value.as_ptr(), value.len())
                    .to_string()
            }
            "remove" => raw::proxy_remove_header_map_value(map, key.as_ptr(), key.len()).to_string(),
            // Adds two values and shows the first.
            "slot" => {
                for value in ["one", "two"] {
                    raw::proxy_add_header_map_value(
                        map,
                        key.as_ptr(),
                        key.len(),
                        value.as_ptr(),
                        value.len(),
                    );
                }
                bytes(given(|data, size| {
                    raw::proxy_get_header_map_value(map, key.as_ptr(), key.len(), data, size)
                }))
            }
            "size" => number(|size| raw::proxy_get_header_map_size(map, size)),
            "pairs" => {
                let (status, data) = given(|data, size| raw::proxy_get_header_map_pairs(map, data, size));
                format!("{status} {}", data.map_or("-".into(), |data| show_pairs(&data)))
            }
            "setpairs" => {
                let data = pairs(key);
                raw::proxy_set_header_map_pairs(map, data.as_ptr(), data.len()).to_string()
            }
            _ => return None,
        }
    })
}

fn buffers(words: &[&str]) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let (kind, start, len) = (parse(word(1)), parse(word(2)), parse(word(3)));
    let data = word(4);
    // SAFETY: as above.
    Some(unsafe {
        match word(0) {
            "buffer" => bytes(given(|data, size| raw::proxy_get_buffer_bytes(kind, start, len, data, size))),
            "setbuffer" => {
                raw::proxy_set_buffer_bytes(kind, start, len, data.as_ptr(), data.len()).to_string()
            }
            "bufferstatus" => {
                let mut flags = u32::MAX;
                number(|size| raw::proxy_get_buffer_status(kind, size, &mut flags))
            }
            _ => return None,
        }
    })
}

fn values(words: &[&str]) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let path = word(1).replace('/', "\0");
    let (id, name, value) = (parse(word(1)), word(2), word(2));
    // SAFETY: as above.
    Some(unsafe {
        match word(0) {
            "property" => {
                bytes(given(|data, size| raw::proxy_get_property(path.as_ptr(), path.len(), data, size)))
            }
            // An integer of 8 bytes.
            "integer" => {
                let (status, data) =
                    given(|data, size| raw::proxy_get_property(path.as_ptr(), path.len(), data, size));
                let value = data.and_then(|data| <[u8; 8]>::try_from(data).ok()).map(i64::from_le_bytes);
                format!("{status} {}", value.map_or("-".into(), |value| value.to_string()))
            }
            "setproperty" => {
                raw::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()).to_string()
            }
            "define" => number(|metric| raw::proxy_define_metric(id, name.as_ptr(), name.len(), metric)),
            "increment" => raw::proxy_increment_metric(id, value.parse().unwrap_or(0)).to_string(),
            "record" => raw::proxy_record_metric(id, value.parse().unwrap_or(0)).to_string(),
            "metric" => number(|value| raw::proxy_get_metric(id, value)),
            _ => return None,
        }
    })
}

fn shared(words: &[&str]) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let (first, second) = (word(1), word(2));
    // SAFETY: as above.
    Some(unsafe {
        match word(0) {
            "sharedget" => {
                let mut cas = 0;
                let got = given(|data, size| {
                    raw::proxy_get_shared_data(first.as_ptr(), first.len(), data, size, &mut cas)
                });
                format!("{} cas {}", bytes(got), if cas == 0 { "none" } else { "some" })
            }
            // With the cas that a get now returns.
            "sharedcas" => {
                let mut cas = 0;
                given(|data, size| {
                    raw::proxy_get_shared_data(first.as_ptr(), first.len(), data, size, &mut cas)
                });
                raw::proxy_set_shared_data(first.as_ptr(), first.len(), second.as_ptr(), second.len(), cas)
                    .to_string()
            }
            "sharedset" => raw::proxy_set_shared_data(
                first.as_ptr(),
                first.len(),
                second.as_ptr(),
                second.len(),
                parse(word(3)),
            )
            .to_string(),
            "register" => {
                number(|queue| raw::proxy_register_shared_queue(first.as_ptr(), first.len(), queue))
            }
            "resolve" => {
                let vm = first.trim_matches('-');
                number(|queue| {
                    raw::proxy_resolve_shared_queue(
                        vm.as_ptr(),
                        vm.len(),
                        second.as_ptr(),
                        second.len(),
                        queue,
                    )
                })
            }
            "enqueue" => {
                raw::proxy_enqueue_shared_queue(parse(first), second.as_ptr(), second.len()).to_string()
            }
            "dequeue" => bytes(given(|data, size| raw::proxy_dequeue_shared_queue(parse(first), data, size))),
            _ => return None,
        }
    })
}

fn callouts(words: &[&str]) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let (cluster, path) = (word(1), word(2));
    // SAFETY: as above.
    Some(unsafe {
        match word(0) {
            // call CLUSTER PATH TIMEOUT [BODY]; a path of - leaves it out
            "call" => {
                let path = if path == "-" { String::new() } else { format!("&:path={path}") };
                let headers = pairs(&format!(":method=GET&:authority=callout{path}"));
                let body = word(4);
                number(|call| {
                    raw::proxy_http_call(
                        cluster.as_ptr(),
                        cluster.len(),
                        headers.as_ptr(),
                        headers.len(),
                        body.as_ptr(),
                        body.len(),
                        path.as_ptr(),
                        0,
                        parse(word(3)),
                        call,
                    )
                })
            }
            "grpccall" => {
                let message = word(4);
                number(|call| {
                    raw::proxy_grpc_call(
                        cluster.as_ptr(),
                        cluster.len(),
                        c"svc".as_ptr().cast(),
                        3,
                        path.as_ptr(),
                        path.len(),
                        path.as_ptr(),
                        0,
                        message.as_ptr(),
                        message.len(),
                        parse(word(3)),
                        call,
                    )
                })
            }
            "grpcstream" => number(|call| {
                raw::proxy_grpc_stream(
                    cluster.as_ptr(),
                    cluster.len(),
                    c"svc".as_ptr().cast(),
                    3,
                    path.as_ptr(),
                    path.len(),
                    path.as_ptr(),
                    0,
                    call,
                )
            }),
            "grpcsend" => {
                raw::proxy_grpc_send(parse(cluster), path.as_ptr(), path.len(), parse(word(3))).to_string()
            }
            "grpccancel" => raw::proxy_grpc_cancel(parse(cluster)).to_string(),
            "grpcclose" => raw::proxy_grpc_close(parse(cluster)).to_string(),
            "status" => {
                let mut code = 0;
                let got = given(|data, size| raw::proxy_get_status(&mut code, data, size));
                format!("{} code {code}", bytes(got))
            }
            _ => return None,
        }
    })
}

fn system(words: &[&str], facts: &str) -> Option<String> {
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let (first, second) = (word(1), word(2));
    // SAFETY: as above.
    Some(unsafe {
        match word(0) {
            "facts" => facts.to_owned(),
            "continue" => raw::proxy_continue_stream(parse(first)).to_string(),
            "close" => raw::proxy_close_stream(parse(first)).to_string(),
            // local STATUS BODY [PAIRS [GRPC]]
            "local" => {
                let headers = pairs(word(3));
                let grpc = word(4).parse().unwrap_or(-1);
                let details = b"probe details";
                raw::proxy_send_local_response(
                    parse(first),
                    details.as_ptr(),
                    details.len(),
                    second.as_ptr(),
                    second.len(),
                    headers.as_ptr(),
                    headers.len(),
                    grpc,
                )
                .to_string()
            }
            "tick" => raw::proxy_set_tick_period_milliseconds(parse(first)).to_string(),
            "time" => number(|time| raw::proxy_get_current_time_nanoseconds(time)),
            "clock" => format!(
                "{}",
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |time| time.as_nanos())
            ),
            // Whether the ABI's clock and WASI's show the same time.
            "clocks" => {
                let system = || {
                    std::time::SystemTime::now()
                        .duration_since(std::time::UNIX_EPOCH)
                        .map_or(0, |time| time.as_nanos())
                };
                let before = system();
                let mut time = 0u64;
                let status = raw::proxy_get_current_time_nanoseconds(&mut time);
                let ordered = (before..=system()).contains(&time.into());
                format!("{status} {}", if ordered { "same" } else { "different" })
            }
            "loglevel" => number(|level| raw::proxy_get_log_level(level)),
            "logat" => raw::proxy_log(parse(first), second.as_ptr(), second.len()).to_string(),
            "effective" => raw::proxy_set_effective_context(parse(first)).to_string(),
            "proxydone" => raw::proxy_done().to_string(),
            "env" => std::env::var(first).unwrap_or_else(|_| "-".into()),
            "foreign" => bytes(given(|data, size| {
                raw::proxy_call_foreign_function(
                    first.as_ptr(),
                    first.len(),
                    second.as_ptr(),
                    second.len(),
                    data,
                    size,
                )
            })),
            // Through compress and uncompress.
            "inflate" => {
                let call = |name: &str, argument: &[u8]| {
                    given(|data, size| {
                        raw::proxy_call_foreign_function(
                            name.as_ptr(),
                            name.len(),
                            argument.as_ptr(),
                            argument.len(),
                            data,
                            size,
                        )
                    })
                };
                let packed = call("compress", first.as_bytes()).1.unwrap_or_default();
                let smaller = if packed.len() < first.len() { "smaller" } else { "larger" };
                format!("{smaller} {}", bytes(call("uncompress", &packed)))
            }
            // set_envoy_filter_state with a path and a value.
            "envoystate" => {
                let mut argument = Vec::new();
                for (tag, field) in [(0x0a, first), (0x12, second)] {
                    argument.extend([tag, field.len() as u8]);
                    argument.extend_from_slice(field.as_bytes());
                }
                let name = "set_envoy_filter_state";
                bytes(given(|data, size| {
                    raw::proxy_call_foreign_function(
                        name.as_ptr(),
                        name.len(),
                        argument.as_ptr(),
                        argument.len(),
                        data,
                        size,
                    )
                }))
            }
            "badpointer" => raw::proxy_log(2, u32::MAX as *const u8, 16).to_string(),
            _ => return None,
        }
    })
}

fn bytes((status, data): (u32, Option<Vec<u8>>)) -> String {
    format!("{status} {}", data.map_or("-".into(), |data| Bytes(&data).text()))
}

fn parse(word: &str) -> u32 {
    if word == "max" { u32::MAX } else { word.parse().unwrap_or(u32::MAX) }
}
