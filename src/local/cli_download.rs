//! The download of the Temporal CLI from Temporal's own site.
//!
//! The SDK has a download too. It runs what it has fetched at once, with all variables of this process.

use std::{
    error::Error as StdError,
    fs::File,
    io::{self, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::bufread::GzDecoder;
use reqwest::{Client, Response};
use serde::Deserialize;
use temporalio_common::telemetry::ensure_default_crypto_provider;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{config::show, error::root_cause};

/// Temporal's site.
const SITE: &str = "https://temporal.download";
/// How long all of it may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(10);
/// The size limit of the archive, and of the program in it: several times what they have.
const LARGEST: u64 = 512 << 20;
/// The size limit of the site's answer that names the archive.
const LARGEST_ANSWER: u64 = 64 << 10;

/// Where the archive is, and the program in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Archive {
    archive_url: String,
    file_to_extract: PathBuf,
}

/// Fetches the CLI into `folder`, and returns its path. The program is neither checked nor run, nor can it be run.
///
/// # Errors
/// Why it could not be fetched.
pub(super) async fn from_temporal(version: &str, folder: &Path) -> Result<PathBuf, String> {
    from_site(SITE, version, folder).await
}

async fn from_site(site: &str, version: &str, folder: &Path) -> Result<PathBuf, String> {
    timeout(DOWNLOAD_TIMEOUT, fetch(site, version, folder))
        .await
        .map_err(|_| format!("not complete after {}", show(DOWNLOAD_TIMEOUT)))?
        .map_err(|error| root_cause(&*error))
}

async fn fetch(
    site: &str,
    version: &str,
    folder: &Path,
) -> Result<PathBuf, Box<dyn StdError + Send + Sync>> {
    ensure_default_crypto_provider();
    let client = Client::builder().https_only(site.starts_with("https")).build()?;
    let platform = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let url = format!("{site}/cli/v{version}?arch={arch}&platform={platform}&format=tar.gz");
    let answer = client.get(url).send().await?.error_for_status()?;
    let mut named = Vec::new();
    save(answer, &mut named, LARGEST_ANSWER).await?;
    let Archive { archive_url, file_to_extract } = serde_json::from_slice(&named)?;

    let mut archive = tempfile::tempfile_in(folder)?;
    let answer = client.get(archive_url).send().await?.error_for_status()?;
    save(answer, &mut archive, LARGEST).await?;
    let program = folder.join("temporal");
    let to = program.clone();
    spawn_blocking(move || extract(archive, &file_to_extract, &to)).await??;
    Ok(program)
}

/// Writes the body of an answer, of at most `largest` bytes.
async fn save(
    mut answer: Response,
    to: &mut impl Write,
    largest: u64,
) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut size = 0;
    while let Some(part) = answer.chunk().await? {
        size += part.len() as u64;
        if size > largest {
            return Err(format!("the answer has more than {largest} bytes").into());
        }
        to.write_all(&part)?;
    }
    Ok(())
}

/// Writes the file `wanted` of the archive to `program`.
fn extract(mut archive: File, wanted: &Path, program: &Path) -> io::Result<()> {
    archive.rewind()?;
    let mut files = tar::Archive::new(GzDecoder::new(BufReader::new(archive)));
    for file in files.entries()? {
        let file = file?;
        if file.path()? == wanted {
            io::copy(&mut file.take(LARGEST), &mut File::create_new(program)?)?;
            return Ok(());
        }
    }
    Err(io::Error::other("the archive does not have the program"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, Write},
        net::TcpListener,
        os::unix::fs::PermissionsExt,
        thread,
    };

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Serves these answers, one for each connection.
    fn serve(answers: impl FnOnce(&str) -> Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers(&site);
        thread::spawn(move || {
            for body in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        site
    }

    fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let mut files = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        files.append_data(&mut header, name, content).unwrap();
        files.into_inner().unwrap().finish().unwrap()
    }

    /// A site whose archive has this file only.
    fn site_with(name: &str, content: &[u8]) -> String {
        serve(|site| {
            let named =
                format!(r#"{{"archiveUrl": "{site}/a.tar.gz", "fileToExtract": "temporal"}}"#);
            vec![named.into_bytes(), archive(name, content)]
        })
    }

    #[tokio::test]
    async fn the_program_of_the_archive_is_saved_and_cannot_run() {
        let folder = tempfile::tempdir().unwrap();
        let site = site_with("temporal", b"#!/bin/sh\ntouch has-run\n");
        let program = from_site(&site, "1.2.3", folder.path()).await.unwrap();
        assert_eq!(std::fs::read(&program).unwrap(), b"#!/bin/sh\ntouch has-run\n");
        assert_eq!(std::fs::metadata(&program).unwrap().permissions().mode() & 0o111, 0);
    }

    #[tokio::test]
    async fn an_archive_without_the_program_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let site = site_with("LICENSE", b"MIT");
        let error = from_site(&site, "1.2.3", folder.path()).await.unwrap_err();
        assert_eq!(error, "the archive does not have the program");
    }
}
