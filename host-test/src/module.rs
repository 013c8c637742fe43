//! Compiled filters.
//!
//! Compiling costs most, so it is done once: a [`FilterModule`] is cheap to
//! clone and every VM of every host is instantiated from it.

use crate::abi;
use crate::error::LoadError;
use crate::faults::Hostcall;
use crate::state::VmState;
use crate::types::{AbiVersion, Status};
use std::path::Path;
use std::sync::Arc;
use wasmtime::{
    Caller, Config, Engine, ExternType, ImportType, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Val,
};

/// A compiled Proxy-Wasm module.
#[derive(Clone)]
pub struct FilterModule {
    inner: Arc<Inner>,
}

struct Inner {
    pre: InstancePre<VmState>,
    abi: AbiVersion,
}

/// How modules are compiled and instantiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOptions {
    pooling: Option<u32>,
    extensions: bool,
}

impl EngineOptions {
    /// The defaults: memory is mapped for each VM.
    pub fn new() -> EngineOptions {
        EngineOptions::default()
    }

    /// Takes VMs from a pool of this many slots, which makes instantiation
    /// cheaper for runs that start hosts by the thousand. A host with `n`
    /// workers uses up to `n + 2` slots.
    #[must_use]
    pub fn pooling(mut self, vms: u32) -> EngineOptions {
        self.pooling = Some(vms);
        self
    }

    /// Also takes modules for hosts that extend the ABI (Higress marks its own
    /// `proxy_abi_version_0_2_100`): any 0.2 marker counts as 0.2.1, and
    /// function imports that this host does not know answer `UNIMPLEMENTED`.
    /// Envoy refuses such modules, and so does this host without the option.
    #[must_use]
    pub fn extensions(mut self, accept: bool) -> EngineOptions {
        self.extensions = accept;
        self
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        config.consume_fuel(true);
        if let Some(vms) = self.pooling {
            let mut pool = PoolingAllocationConfig::default();
            pool.total_core_instances(vms).total_memories(vms).total_tables(vms);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        config
    }
}

impl FilterModule {
    /// Reads and compiles a `.wasm` file.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, is not a module, or wants what
    /// Proxy-Wasm 0.2 hosts do not have.
    pub fn from_file(path: impl AsRef<Path>) -> Result<FilterModule, LoadError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        FilterModule::from_bytes(bytes)
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    /// As [`FilterModule::from_file`].
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<FilterModule, LoadError> {
        FilterModule::with_options(bytes, EngineOptions::new())
    }

    /// Compiles a module with other than the default options.
    ///
    /// # Errors
    /// As [`FilterModule::from_file`].
    pub fn with_options(bytes: impl AsRef<[u8]>, options: EngineOptions) -> Result<FilterModule, LoadError> {
        let engine = Engine::new(&options.config()).map_err(LoadError::Invalid)?;
        let module = Module::from_binary(&engine, bytes.as_ref()).map_err(LoadError::Invalid)?;
        let abi = abi_version(&module, options.extensions)?;
        check_exports(&module)?;
        let mut linker = Linker::new(&engine);
        abi::link(&mut linker).map_err(LoadError::Invalid)?;
        if options.extensions {
            stub_unknown_imports(&mut linker, &module)?;
        } else {
            check_imports(&module)?;
        }
        let pre = linker.instantiate_pre(&module).map_err(LoadError::ImportType)?;
        Ok(FilterModule { inner: Arc::new(Inner { pre, abi }) })
    }

    /// The ABI version that the module asks for.
    pub fn abi_version(&self) -> AbiVersion {
        self.inner.abi
    }

    /// The hostcalls that the module imports.
    pub fn imports(&self) -> Vec<Hostcall> {
        self.inner.pre.module().imports().filter_map(|import| Hostcall::from_name(import.name())).collect()
    }

    pub(crate) fn pre(&self) -> &InstancePre<VmState> {
        &self.inner.pre
    }
}

impl std::fmt::Debug for FilterModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterModule").field("abi", &self.inner.abi).finish_non_exhaustive()
    }
}

/// The newest version that both sides have, as Envoy chooses it.
fn abi_version(module: &Module, extensions: bool) -> Result<AbiVersion, LoadError> {
    let found: Vec<String> = module
        .exports()
        .map(|export| export.name().to_owned())
        .filter(|name| name.starts_with("proxy_abi_version_"))
        .collect();
    let has = |wanted: &str| found.iter().any(|name| name == wanted);
    let extended = extensions && found.iter().any(|name| name.starts_with("proxy_abi_version_0_2_1"));
    if has("proxy_abi_version_0_2_1") || extended {
        Ok(AbiVersion::V0_2_1)
    } else if has("proxy_abi_version_0_2_0") {
        Ok(AbiVersion::V0_2_0)
    } else {
        Err(LoadError::AbiVersion { found })
    }
}

fn check_imports(module: &Module) -> Result<(), LoadError> {
    match unknown_imports(module).next() {
        None => Ok(()),
        Some(import) => {
            let found = match import.ty() {
                ExternType::Func(function) => function.to_string(),
                other => format!("{other:?}"),
            };
            Err(LoadError::UnknownImport {
                module: import.module().into(),
                name: import.name().into(),
                found,
            })
        }
    }
}

fn unknown_imports(module: &Module) -> impl Iterator<Item = ImportType<'_>> {
    module.imports().filter(|import| {
        !Hostcall::from_name(import.name()).is_some_and(|hostcall| match import.module() {
            "wasi_unstable" => hostcall.is_wasi(),
            module => hostcall.module() == module,
        })
    })
}

/// Functions that answer `UNIMPLEMENTED` in each result.
fn stub_unknown_imports(linker: &mut Linker<VmState>, module: &Module) -> Result<(), LoadError> {
    for import in unknown_imports(module) {
        let ExternType::Func(function) = import.ty() else {
            return check_imports(module);
        };
        let answer = |_: Caller<'_, VmState>, _: &[Val], results: &mut [Val]| {
            results.fill(Val::I32(Status::Unimplemented as i32));
            Ok(())
        };
        linker.func_new(import.module(), import.name(), function, answer).map_err(LoadError::Invalid)?;
    }
    Ok(())
}

fn check_exports(module: &Module) -> Result<(), LoadError> {
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => {}
        _ => return Err(LoadError::MissingExport { name: "memory" }),
    }
    if module.get_export("proxy_on_memory_allocate").is_none() && module.get_export("malloc").is_none() {
        return Err(LoadError::MissingExport { name: "proxy_on_memory_allocate" });
    }
    Ok(())
}
