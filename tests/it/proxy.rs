//! Proxies between a fleet and its server: one that terminates TLS, one that refuses calls, and one
//! that observes polls, acts on the first one, and can lose a call.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use http_body_util::{Either, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

use crate::server;

/// A certificate authority, with a folder for the files that a client reads.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: TempDir::new().unwrap() }
    }

    /// Writes the authority's certificate to a file for `TEMPORAL_TLS_SERVER_CA_CERT_PATH`.
    pub(crate) fn file(&self) -> String {
        self.write("ca.pem", &self.issuer.pem())
    }

    /// Writes a client's certificate and its key to files for `TEMPORAL_TLS_CLIENT_CERT_PATH` and
    /// `TEMPORAL_TLS_CLIENT_KEY_PATH`.
    pub(crate) fn client_files(&self) -> [String; 2] {
        let (certificate, key) = self.sign("a client", ExtendedKeyUsagePurpose::ClientAuth);
        [
            self.write("client.pem", &certificate.pem()),
            self.write("client.key", &key.serialize_pem()),
        ]
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// Opens a local port, together with a runtime of one thread that serves it.
fn listen() -> (Runtime, TcpListener, String) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (runtime, listener, address)
}

/// A local port that terminates TLS and forwards the decrypted bytes to a server without TLS.
pub(crate) struct TlsPort {
    pub(crate) address: String,
    _runtime: Runtime,
}

impl TlsPort {
    /// Opens a port in front of the shared dev server; see [`Self::before`].
    pub(crate) fn open(authority: &Authority, name: &str, clients: Option<&Authority>) -> Self {
        Self::before(server::address().to_owned(), "h2", authority, name, clients)
    }

    /// Opens a port in front of a server that speaks `protocol` (its name in TLS's ALPN). The port's
    /// certificate is for `name`, signed by `authority`. If `clients` is given, the port accepts only
    /// clients with a certificate of that authority.
    pub(crate) fn before(
        server: String,
        protocol: &str,
        authority: &Authority,
        name: &str,
        clients: Option<&Authority>,
    ) -> Self {
        let builder = match clients {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        let (certificate, key) = authority.sign(name, ExtendedKeyUsagePurpose::ServerAuth);
        let chain: Vec<CertificateDer<'_>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![protocol.into()];
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let (runtime, listener, address) = listen();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), server.clone());
                tokio::spawn(async move {
                    // The handshake has already reported the reason to a client that it refuses.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                });
            }
        });
        Self { address, _runtime: runtime }
    }
}

/// A local port that forwards some calls to a server and refuses the others. [`open`](Self::open) forwards
/// only `GetSystemInfo`, the first call of a connection. A server behaves so towards an API key without
/// permissions.
pub(crate) struct RefusingPort {
    pub(crate) address: String,
    _runtime: Runtime,
}

impl RefusingPort {
    pub(crate) fn open(server: &str) -> Self {
        Self::refusing(server, "7", "no permission", |call| call != "GetSystemInfo")
    }

    /// Where the server's limit leaves no room for a start, and for every other call.
    pub(crate) fn without_starts(server: &str) -> Self {
        let is_start = |call: &str| call == "StartWorkflowExecution";
        Self::refusing(server, "8", "namespace rate limit exceeded", is_start)
    }

    /// Where nobody may ask who polls a task queue.
    pub(crate) fn without_descriptions(server: &str) -> Self {
        Self::refusing(server, "7", "no permission", |call| call == "DescribeTaskQueue")
    }

    fn refusing(
        server: &str,
        status: &'static str,
        message: &'static str,
        refuses: fn(&str) -> bool,
    ) -> Self {
        let (runtime, listener, address) = listen();
        let server = server.to_owned();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = TokioIo::new(TcpStream::connect(&server).await.unwrap());
                let handshake = client::conn::http2::handshake(TokioExecutor::new(), server);
                let (calls, connection) = handshake.await.unwrap();
                tokio::spawn(connection);
                let answer = service_fn(move |call: Request<Incoming>| {
                    let mut calls = calls.clone();
                    async move {
                        let name = call.uri().path().rsplit('/').next().unwrap_or_default();
                        if !refuses(name) {
                            return Ok(calls.send_request(call).await?.map(Either::Left));
                        }
                        let refused = Response::builder()
                            .header("content-type", "application/grpc")
                            .header("grpc-status", status)
                            .header("grpc-message", message)
                            .body(Either::Right(Empty::<Bytes>::new()));
                        Ok::<_, hyper::Error>(refused.unwrap())
                    }
                });
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, _runtime: runtime }
    }
}

/// A local port that forwards every call to a server. It runs an action once: when the first poll
/// arrives, before that poll is forwarded.
pub(crate) struct PollTrap {
    pub(crate) address: String,
    unanswered: Calls,
    compressions: Compressions,
    _runtime: Runtime,
}

/// The compressions of the calls' messages, such as `gzip`; `None` stands for no compression.
type Compressions = Arc<Mutex<BTreeSet<Option<String>>>>;

/// The number of calls that wait for an answer, by the name of the call.
type Calls = Arc<Mutex<HashMap<String, usize>>>;

impl PollTrap {
    pub(crate) fn open(server: &str, act: impl FnOnce() + Send + 'static) -> Self {
        Self::open_for(server, "", act)
    }

    /// Opens a port that loses the first call named `lost`: it is neither forwarded nor answered.
    pub(crate) fn losing(server: &str, lost: &'static str) -> Self {
        Self::open_for(server, lost, || {})
    }

    fn open_for(server: &str, lost: &'static str, act: impl FnOnce() + Send + 'static) -> Self {
        let lose = Arc::new(AtomicBool::new(true));
        let unanswered = Calls::default();
        let (runtime, listener, address) = listen();
        let compressions = Compressions::default();
        let (server, waiting, seen) = (server.to_owned(), unanswered.clone(), compressions.clone());
        let act = Arc::new(Mutex::new(Some(act)));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = TokioIo::new(TcpStream::connect(&server).await.unwrap());
                let handshake = client::conn::http2::handshake(TokioExecutor::new(), server);
                let (calls, connection) = handshake.await.unwrap();
                tokio::spawn(connection);
                let (waiting, seen, act) = (waiting.clone(), seen.clone(), act.clone());
                let lose = lose.clone();
                let forward = service_fn(move |call: Request<Incoming>| {
                    let (mut calls, waiting) = (calls.clone(), waiting.clone());
                    let name = call.uri().path().rsplit('/').next().unwrap().to_owned();
                    let compression = call.headers().get("grpc-encoding");
                    let compression = compression.map(|name| name.to_str().unwrap().to_owned());
                    seen.lock().unwrap().insert(compression);
                    if name.starts_with("Poll")
                        && let Some(act) = act.lock().unwrap().take()
                    {
                        act();
                    }
                    let lost = name == lost && lose.swap(false, Ordering::Relaxed);
                    async move {
                        if lost {
                            pending::<()>().await;
                        }
                        *waiting.lock().unwrap().entry(name.clone()).or_default() += 1;
                        let answer = calls.send_request(call).await;
                        *waiting.lock().unwrap().entry(name).or_default() -= 1;
                        answer
                    }
                });
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), forward));
            }
        });
        Self { address, unanswered, compressions, _runtime: runtime }
    }

    /// Returns the compressions of the calls so far.
    pub(crate) fn compressions(&self) -> BTreeSet<Option<String>> {
        self.compressions.lock().unwrap().clone()
    }

    /// Returns how many calls named `name`, such as `PollActivityTaskQueue`, wait for an answer now.
    pub(crate) fn unanswered(&self, name: &str) -> usize {
        self.unanswered.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}
