//! The compiled filter: its bytes, its digest, what it uses.

use sha2::{Digest as _, Sha256};
use wasmparser::{Parser, Payload, TypeRef};

/// A module to be deployed.
#[derive(Debug)]
pub struct Module {
    /// The file's content.
    pub bytes: Vec<u8>,
    /// The SHA-256 of the bytes: 64 hexadecimal digits.
    pub sha256: String,
    /// Its imports from the proxy, and its callbacks, sorted: Envoy's `allowed_capabilities`.
    pub capabilities: Vec<String>,
}

impl Module {
    /// Reads the module `bytes`.
    ///
    /// # Errors
    /// If the bytes are not a proxy-wasm module; the text names what they are instead.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let capabilities =
            capabilities(&bytes).map_err(|error| format!("is not a WebAssembly module: {error}"))?;
        if !capabilities.iter().any(|name| name.starts_with("proxy_on_")) {
            return Err("is not a proxy-wasm module: it exports no callbacks".to_owned());
        }
        Ok(Self { sha256: hex(&Sha256::digest(&bytes)), bytes, capabilities })
    }

    /// Returns a name that no other module has, so that a new one can lie beside the old one.
    #[must_use]
    pub fn file_name(&self) -> String {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
