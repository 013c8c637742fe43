//! The compiled filter: its bytes, its digest, what it uses.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use wasmparser::{Parser, Payload, TypeRef};

use crate::filter_module;
use crate::outcome::Failure;

/// A module that is to be deployed.
pub(crate) struct Module {
    pub(crate) bytes: Vec<u8>,
    /// 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// What it imports of the proxy, and the callbacks it has, sorted: Envoy's `allowed_capabilities`.
    pub(crate) capabilities: Vec<String>,
}

impl Module {
    pub(crate) fn read(given: Option<&Path>) -> Result<Self, Failure> {
        let path = filter_module::find(given).map_err(|error| Failure::Usage(error.to_string()))?;
        let name = path.display().to_string();
        let bytes = std::fs::read(&path).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
        let capabilities = capabilities(&bytes)
            .map_err(|error| Failure::Usage(format!("{name} is not a WebAssembly module: {error}")))?;
        if !capabilities.iter().any(|name| name.starts_with("proxy_on_")) {
            return Err(Failure::Usage(format!(
                "{name} is not a proxy-wasm module: it exports no callbacks"
            )));
        }
        Ok(Self { sha256: hex(&Sha256::digest(&bytes)), bytes, capabilities })
    }

    /// A name that no other module has, so that a new one can lie beside the old one.
    pub(crate) fn file_name(&self) -> String {
        format!("splitway-{}.wasm", self.sha256.get(..12).unwrap_or_default())
    }
}

fn capabilities(bytes: &[u8]) -> wasmparser::Result<Vec<String>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(_) = import.ty {
                        names.push(import.name.to_owned());
                    }
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let name = export?.name;
                    if name.starts_with("proxy_") && !name.starts_with("proxy_abi_version") {
                        names.push(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    names.sort();
    Ok(names)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
