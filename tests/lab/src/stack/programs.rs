//! The programs of the stack: built by cargo, and found where cargo says that it put them.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use super::error::{StackError, io_error};

/// What is always built: the packages, as `cargo build` takes them.
const PACKAGES: [&str; 5] = [
    "purserd",
    "purser-driver-host",
    "purser-driver-supervisor",
    "purser-provider",
    "purser-virtual-reader",
];
/// Built too, where the workspace has it.
const COMMAND_LINE: &str = "purserctl";

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon. The driver host lies beside it, where the daemon looks for it.
    pub purserd: PathBuf,
    /// The reference provider host.
    pub provider: PathBuf,
    /// The virtual reader, with its manifest beside it, in a folder that only its owner writes.
    pub driver: PathBuf,
    /// The command line, where the workspace has it.
    pub purserctl: Option<PathBuf>,
}

impl Programs {
    /// Builds all programs in the profile of the running program, unless this process has done so before. Cargo shows
    /// its progress on standard error.
    ///
    /// # Errors
    /// [`StackError::Build`], [`StackError::NotBuilt`], [`StackError::Manifest`] or [`StackError::Io`].
    pub fn build() -> Result<Arc<Self>, StackError> {
        static BUILT: Mutex<Option<Arc<Programs>>> = Mutex::new(None);
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = &*built {
            return Ok(Arc::clone(programs));
        }
        let programs = Arc::new(build()?);
        *built = Some(Arc::clone(&programs));
        Ok(programs)
    }

    /// Copies of all programs in a folder.
    pub(super) fn copy_to(&self, folder: &Path) -> Result<Self, StackError> {
        let copy = |from: &Path| {
            let to = folder.join(from.file_name().unwrap_or_default());
            fs::copy(from, &to).map_err(io_error("copy a program to", &to))?;
            Ok::<_, StackError>(to)
        };
        copy(&self.purserd.with_file_name("purser-driver-host"))?;
        copy(&self.driver.with_extension("driver.toml"))?;
        Ok(Self {
            purserd: copy(&self.purserd)?,
            provider: copy(&self.provider)?,
            driver: copy(&self.driver)?,
            purserctl: self.purserctl.as_deref().map(copy).transpose()?,
        })
    }
}

fn build() -> Result<Programs, StackError> {
    let workspace = workspace();
    let mut packages = PACKAGES.to_vec();
    if workspace.join("daemon").join(COMMAND_LINE).is_dir() {
        packages.push(COMMAND_LINE);
    }
    let artifacts = cargo_build(&workspace, &packages)?;
    let find = |name: &'static str| {
        // A library may have the same name.
        let mut named = artifacts.iter().filter(|artifact| artifact.target.name == name);
        named
            .find_map(|artifact| artifact.executable.clone())
            .ok_or(StackError::NotBuilt(name))
    };
    let (purserd, manifest) = (find("purserd")?, find("purser-driver-manifest")?);
    find("purser-driver-host")?;
    let is_driver = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "so");
    let driver = artifacts
        .iter()
        .filter(|artifact| artifact.target.name.replace('-', "_") == "purser_virtual_reader")
        .find_map(|artifact| artifact.filenames.iter().find(|path| is_driver(path)))
        .ok_or(StackError::NotBuilt("purser-virtual-reader"))?;
    Ok(Programs {
        driver: install_driver(driver, &manifest)?,
        provider: find("purser-provider")?,
        purserd,
        purserctl: find(COMMAND_LINE).ok(),
    })
}

/// The folder of the workspace's `Cargo.toml`. Cargo tells where this package is when it runs a program or a test;
/// else it is where it was compiled.
fn workspace() -> PathBuf {
    let compiled = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let package = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(running) => PathBuf::from(running),
        None => compiled,
    };
    let is_workspace = |folder: &&Path| folder.join("daemon/purserd").is_dir();
    package
        .ancestors()
        .find(is_workspace)
        .unwrap_or(&package)
        .to_owned()
}

/// What cargo says of each thing that it built or found to be fresh.
#[derive(Debug, Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

fn cargo_build(workspace: &Path, packages: &[&str]) -> Result<Vec<Artifact>, StackError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    // What cargo tells this program of its own package would look like a change to build scripts that ask for it.
    let is_of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    // Not from the workspace's folder: a relative CARGO_TARGET_DIR means the same folder as for the cargo that runs us.
    command
        .args(["build", "--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"))
        .args(["--profile", &profile()])
        .args(packages.iter().flat_map(|package| ["--package", package]));
    let failed = |source| StackError::Io {
        action: "run",
        path: PathBuf::from(&cargo),
        source,
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let told = child.stdout.take().expect("standard output is a pipe");
    let mut artifacts = Vec::new();
    for line in BufReader::new(told).lines() {
        // Other messages have other fields.
        artifacts.extend(serde_json::from_str::<Artifact>(&line.map_err(failed)?).ok());
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        Ok(artifacts)
    } else {
        Err(StackError::Build(status))
    }
}

/// The profile that the running program was built in: cargo names its folder after it, but for one.
fn profile() -> String {
    let program = env::current_exe().unwrap_or_default();
    let folders = program.ancestors().skip(1).filter_map(Path::file_name);
    let mut folders = folders.filter(|name| *name != "deps");
    match folders.next().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// Copies the driver into a folder that nobody else may write, as purserd demands (a umask of 002 makes the target folder
/// one that the group may), and lets the tool write its manifest.
fn install_driver(built: &Path, manifest_tool: &Path) -> Result<PathBuf, StackError> {
    let folder = built.with_file_name("lab-drivers");
    fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
    close_to_others(&folder, 0o755)?;
    let lock_path = folder.join("lock");
    let lock = File::create(&lock_path).map_err(io_error("make", &lock_path))?;
    // Tests in other processes build at the same time. Closing unlocks.
    lock.lock().map_err(io_error("lock", &lock_path))?;
    let driver = folder.join(built.file_name().unwrap_or_default());
    let aside = driver.with_extension("new");
    fs::copy(built, &aside).map_err(io_error("copy the driver to", &aside))?;
    close_to_others(&aside, 0o644)?;
    let manifest = driver.with_extension("driver.toml");
    if manifest.exists() && is_same(&aside, &driver) {
        return Ok(driver);
    }
    // First the old manifest goes: a manifest that is there always belongs to the driver beside it.
    if manifest.exists() {
        fs::remove_file(&manifest).map_err(io_error("remove", &manifest))?;
    }
    fs::rename(&aside, &driver).map_err(io_error("replace", &driver))?;
    let written = Command::new(manifest_tool).arg(&driver).output();
    let written = written.map_err(io_error("run", manifest_tool))?;
    if written.status.success() {
        return Ok(driver);
    }
    Err(StackError::Manifest {
        status: written.status,
        told: String::from_utf8_lossy(&written.stderr).into_owned(),
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn close_to_others(path: &Path, mode: u32) -> Result<(), StackError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))
}
