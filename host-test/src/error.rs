//! What can go wrong, and what the guest was doing.

use crate::faults::Hostcall;
use crate::log::VmId;
use std::fmt;
use std::time::Duration;

/// A module that cannot be run.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    Read {
        /// Which file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A filter that was to be built from source could not be.
    Build {
        /// Its package.
        package: String,
        /// What cargo said.
        output: String,
    },
    /// The bytes are not a valid module.
    Invalid(wasmtime::Error),
    /// The module imports something that no Proxy-Wasm host has.
    UnknownImport {
        /// Module part of the import, such as `env`.
        module: String,
        /// Name part of the import.
        name: String,
        /// The type that the module expects.
        found: String,
    },
    /// An import exists with another signature; the text names it and both
    /// types.
    ImportType(wasmtime::Error),
    /// No `proxy_abi_version_*` export that this host serves.
    AbiVersion {
        /// The marker exports that were found.
        found: Vec<String>,
    },
    /// An export that the host needs is missing.
    MissingExport {
        /// Its name.
        name: &'static str,
    },
    /// An export has another signature than the ABI's.
    ExportType {
        /// Its name.
        name: &'static str,
        /// What the ABI says.
        expected: String,
        /// What the module has.
        found: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Read { path, source } => {
                write!(f, "cannot read {}: {source}", path.display())
            }
            LoadError::Build { package, output } => write!(
                f,
                "cannot build {package} for wasm32-wasip1; if the target is missing, run \
                 `rustup target add wasm32-wasip1`\n\n{output}"
            ),
            LoadError::Invalid(error) => write!(f, "not a valid WebAssembly module: {error:#}"),
            LoadError::UnknownImport { module, name, found } => write!(
                f,
                "unknown import {module}.{name} {found}: Proxy-Wasm 0.2.1 hosts have no such function; \
                 the module was built for another host or a newer ABI"
            ),
            LoadError::ImportType(error) => {
                write!(f, "an import has another signature than the ABI's: {error:#}")
            }
            LoadError::AbiVersion { found } if found.is_empty() => write!(
                f,
                "no proxy_abi_version export: expected proxy_abi_version_0_2_0 or proxy_abi_version_0_2_1, \
                 so this is not a Proxy-Wasm module"
            ),
            LoadError::AbiVersion { found } => {
                write!(
                    f,
                    "unsupported ABI: expected proxy_abi_version_0_2_0 or proxy_abi_version_0_2_1, found {}",
                    found.join(", ")
                )
            }
            LoadError::MissingExport { name } => write!(f, "the module does not export {name}"),
            LoadError::ExportType { name, expected, found } => {
                write!(f, "export {name}: expected {expected}, found {found}")
            }
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A guest that trapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The VM.
    pub vm: VmId,
    /// The export that the host had called.
    pub export: &'static str,
    /// Why, in the engine's words.
    pub reason: String,
    /// Function names, or their indexes in a stripped module, innermost
    /// first.
    pub backtrace: Vec<String>,
    /// The guest's last lines on standard error: a Rust panic message.
    pub last_words: Vec<String>,
    /// The last hostcalls and their raw results, oldest first.
    pub hostcalls: Vec<(Hostcall, u32)>,
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest trapped in {} ({:?} VM): {}", self.export, self.vm, self.reason)?;
        for line in &self.last_words {
            write!(f, "\n  it said: {line}")?;
        }
        for (hostcall, result) in &self.hostcalls {
            write!(f, "\n  after {} = {result}", hostcall.name())?;
        }
        for frame in &self.backtrace {
            write!(f, "\n  at {frame}")?;
        }
        Ok(())
    }
}

/// A host that could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// The module cannot be run.
    Load(LoadError),
    /// The module does not instantiate: an out-of-range segment, a start
    /// function that traps, too little memory.
    Instantiate(wasmtime::Error),
    /// The guest trapped while it was started or configured.
    Trapped(Box<Trap>),
    /// `proxy_on_vm_start` answered false.
    VmStartRefused {
        /// The VM that refused.
        vm: VmId,
        /// What it logged meanwhile.
        logs: Vec<String>,
    },
    /// `proxy_on_configure` answered false. The last good configuration, if
    /// there was one, still serves.
    ConfigurationRefused {
        /// The VM that refused; the canary, for a guest that always decides
        /// alike.
        vm: VmId,
        /// What it logged meanwhile.
        logs: Vec<String>,
    },
    /// The guest paused and nothing that is pending will resume it.
    Stuck {
        /// Where it paused.
        phase: Phase,
        /// Virtual time waited.
        waited: Duration,
    },
    /// A stream handle that is not open on this host.
    UnknownStream,
}

/// Where in a stream the guest paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `proxy_on_request_headers`
    RequestHeaders,
    /// `proxy_on_request_body`
    RequestBody,
    /// `proxy_on_request_trailers`
    RequestTrailers,
    /// Waiting for the upstream.
    Upstream,
    /// `proxy_on_response_headers`
    ResponseHeaders,
    /// `proxy_on_response_body`
    ResponseBody,
    /// `proxy_on_response_trailers`
    ResponseTrailers,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |f: &mut fmt::Formatter<'_>, logs: &[String]| {
            logs.iter().try_for_each(|line| write!(f, "\n  it said: {line}"))
        };
        match self {
            HostError::Load(error) => error.fmt(f),
            HostError::Instantiate(error) => {
                write!(f, "the module does not instantiate: {error:#}")
            }
            HostError::Trapped(trap) => trap.fmt(f),
            HostError::VmStartRefused { vm, logs } => {
                write!(f, "proxy_on_vm_start answered false in the {vm:?} VM")?;
                said(f, logs)
            }
            HostError::ConfigurationRefused { vm, logs } => {
                write!(f, "proxy_on_configure answered false in the {vm:?} VM")?;
                said(f, logs)
            }
            HostError::Stuck { phase, waited } => {
                write!(
                    f,
                    "the guest paused in {phase:?} and was not resumed in {waited:?} of virtual time, with no callout left: \
                     resume the stream or send a local response from a callback"
                )?;
                if matches!(phase, Phase::RequestHeaders | Phase::ResponseHeaders) {
                    write!(
                        f,
                        "; a pause in headers also holds the body back, unless the host is built with \
                         allow_on_headers_stop_iteration"
                    )?;
                }
                Ok(())
            }
            HostError::UnknownStream => {
                write!(f, "no such open stream on this host: it was finished, or belongs to another host")
            }
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HostError::Load(error) => Some(error),
            _ => None,
        }
    }
}

impl From<LoadError> for HostError {
    fn from(error: LoadError) -> HostError {
        HostError::Load(error)
    }
}
