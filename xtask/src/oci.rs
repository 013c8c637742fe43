//! Packs the filter as an OCI image, without a daemon.
//!
//! The *oci* variant of the Wasm image specification, as Istio's fetcher takes it apart: exactly two
//! layers, of which the one with the content's media type is the module as it is, neither tar nor gzip.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use splitway_tools::programs;

const CONFIG: &str = "application/vnd.module.wasm.config.v1+json";
const CONTENT: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Writes `target/oci` and prints the image's digest.
pub(crate) fn run() -> Result<()> {
    let wasm = programs::filter_wasm()?;
    let module = fs::read(&wasm).with_context(|| wasm.display().to_string())?;
    let folder = programs::target_dir()?.join("oci");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let digest = write(&folder, &module, env!("CARGO_PKG_VERSION"))?;
    println!("{}", folder.display());
    println!("digest {digest}");
    println!(
        "push it: oras cp --from-oci-layout {}:{} REGISTRY/splitway:{}",
        folder.display(),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_VERSION")
    );
    println!("use it:  splitway render istio --image oci://REGISTRY/splitway --digest {digest} …");
    Ok(())
}

/// An OCI image layout with one image; its digest. The same module gives the same digest.
fn write(folder: &Path, module: &[u8], version: &str) -> Result<String> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let store = |bytes: &[u8], media_type: &str| -> Result<Value> {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(blobs.join(&hash), bytes)?;
        Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{hash}"), "size": bytes.len() }))
    };
    let config =
        json!({ "type": "envoy_proxy", "abiVersions": ["v0-2.1"], "config": { "rootIds": ["splitway"] } });
    let config = store(config.to_string().as_bytes(), CONFIG)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [store(module, CONTENT)?, config],
        "annotations": {
            "org.opencontainers.image.title": "splitway",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    });
    let mut image = store(manifest.to_string().as_bytes(), MANIFEST)?;
    let digest = image["digest"].as_str().unwrap_or_default().to_owned();
    image["annotations"] = json!({ "org.opencontainers.image.ref.name": version });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [image],
    });
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// A blob, whose name, size and content must agree.
    fn blob(folder: &Path, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let hash = digest.strip_prefix("sha256:").unwrap();
        let bytes = fs::read(folder.join("blobs/sha256").join(hash)).unwrap();
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hash);
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    }

    #[test]
    fn the_layout_is_what_istio_takes_apart() {
        let folder = tempfile::tempdir().unwrap();
        let module = b"\0asm\x01\0\0\0";
        let digest = write(folder.path(), module, "1.2.3").unwrap();
        assert_eq!(read(&folder.path().join("oci-layout"))["imageLayoutVersion"], "1.0.0");
        let index = read(&folder.path().join("index.json"));
        let image = &index["manifests"][0];
        assert_eq!((image["digest"].as_str(), image["mediaType"].as_str()), (Some(&*digest), Some(MANIFEST)));
        let manifest: Value = serde_json::from_slice(&blob(folder.path(), image)).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2, "Istio refuses any other number");
        let content: Vec<_> = layers.iter().filter(|layer| layer["mediaType"] == CONTENT).collect();
        assert_eq!(content.len(), 1);
        assert_eq!(blob(folder.path(), content[0]), module, "raw, neither tar nor gzip");
        assert_eq!(manifest["config"]["mediaType"], CONFIG);
        serde_json::from_slice::<Value>(&blob(folder.path(), &manifest["config"])).unwrap();
        let files = fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count();
        assert_eq!(files, 3, "config, module, manifest");
        let other = tempfile::tempdir().unwrap();
        assert_eq!(write(other.path(), module, "1.2.3").unwrap(), digest, "the same again");
    }
}
