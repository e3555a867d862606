//! A hub with one repository, played on the loopback interface, and the faults it can have.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ascendit::Error;
use ascendit::cancel::Cancel;
use ascendit::checkpoint::hub::{
    DownloadObserver, Hub, HubConfig, RepoId, Snapshot, is_engine_file,
};
use sha1::{Digest, Sha1};
use sha2::Sha256;

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const LATER_COMMIT: &str = "76543210fedcba9876543210fedcba9876543210";

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn git_id(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// Content that compresses badly and differs everywhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(step).collect()
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path of the hub on its server.
    pub(crate) prefix: &'static str,
    /// The path and query below it.
    pub(crate) target: String,
    pub(crate) range_from: Option<usize>,
    pub(crate) token: Option<String>,
}

/// What the hub does instead of answering as a hub.
#[derive(Clone)]
pub(crate) enum Fault {
    /// An HTTP status with the hub's code and message.
    Status(u16, &'static str, &'static str),
    /// Another body.
    Body(String),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// The body stops coming after so many bytes, and the connection stays.
    Stall(usize),
    /// All is sent where a part was asked for.
    IgnoreRange,
    /// Another content of the same length.
    Wrong,
}

/// Decides about a fault, by the request and how many requests came before.
pub(crate) type Faults = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

pub(crate) struct FakeHub {
    pub(crate) endpoint: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    pub(crate) faults: Arc<Mutex<Arc<Faults>>>,
    pub(crate) commit: Arc<Mutex<&'static str>>,
    pub(crate) cache: tempfile::TempDir,
}

impl FakeHub {
    /// A hub at `http://127.0.0.1:port` + `prefix` whose only repository is `acme/film`.
    pub(crate) fn start(prefix: &'static str, files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let hub = Self {
            endpoint: format!("http://{address}{prefix}"),
            requests: Arc::default(),
            faults: Arc::new(Mutex::new(Arc::new(|_: &Request| None))),
            commit: Arc::new(Mutex::new(COMMIT)),
            cache: tempfile::tempdir().unwrap(),
        };
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(path, content)| (path.to_string(), content.clone()))
            .collect();
        let files = Arc::new(files);
        let (requests, faults) = (hub.requests.clone(), hub.faults.clone());
        let commit = hub.commit.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, requests, faults) = (files.clone(), requests.clone(), faults.clone());
                let commit = *commit.lock().unwrap();
                std::thread::spawn(move || {
                    let Some(request) = read_request(&stream, prefix) else {
                        return;
                    };
                    requests.lock().unwrap().push(request.clone());
                    let decide = faults.lock().unwrap().clone();
                    let fault = decide(&request);
                    // A client that goes away early is part of the tests.
                    let _ = answer(&stream, &request, &files, commit, fault);
                });
            }
        });
        hub
    }

    pub(crate) fn config(&self) -> HubConfig {
        HubConfig {
            endpoint: Some(self.endpoint.clone()),
            cache_dir: Some(self.cache.path().to_owned()),
            token: Some("hf_secret".into()),
            offline: false,
            patience: Some(Duration::from_secs(20)),
        }
    }

    pub(crate) fn fetch(&self) -> Result<Snapshot, Error> {
        self.fetch_with(self.config(), &())
    }

    pub(crate) fn fetch_with(
        &self,
        config: HubConfig,
        observer: &dyn DownloadObserver,
    ) -> Result<Snapshot, Error> {
        self.fetch_until(config, observer, &Cancel::new())
    }

    pub(crate) fn fetch_until(
        &self,
        config: HubConfig,
        observer: &dyn DownloadObserver,
        cancel: &Cancel,
    ) -> Result<Snapshot, Error> {
        Hub::new(config)?.fetch(&film(), &is_engine_file, observer, cancel)
    }

    pub(crate) fn fails_with(
        &self,
        faults: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static,
    ) {
        *self.faults.lock().unwrap() = Arc::new(faults);
        self.requests.lock().unwrap().clear();
    }

    /// The ranges that contents of large files were asked for from; 0 is a whole file.
    pub(crate) fn content_requests(&self) -> Vec<usize> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|r| r.method == "GET" && r.target.starts_with("/cdn/"))
            .map(|r| r.range_from.unwrap_or(0))
            .collect()
    }

    pub(crate) fn repo_dir(&self) -> PathBuf {
        self.cache.path().join("models--acme--film")
    }

    pub(crate) fn is_published(&self) -> bool {
        self.repo_dir().join("snapshots").exists() || self.repo_dir().join("refs").exists()
    }

    pub(crate) fn error_is(&self, expected: &str) {
        let error = self.fetch().unwrap_err();
        let expected = format!(
            "cannot download acme/film from {}: {expected}",
            self.endpoint
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.exit_code(), 200);
        assert!(!self.is_published());
    }
}

pub(crate) fn film() -> RepoId {
    RepoId::parse("acme/film").unwrap()
}

pub(crate) fn read_request(stream: &TcpStream, prefix: &'static str) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?.strip_prefix(prefix)?.to_owned();
    let mut request = Request {
        method,
        prefix,
        target,
        range_from: None,
        token: None,
    };
    for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let from = value.strip_prefix("bytes=")?.split('-').next()?;
                request.range_from = Some(from.parse().ok()?);
            }
            "authorization" => request.token = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

/// Large files are those that a real hub keeps in large file storage.
pub(crate) fn is_large(path: &str) -> bool {
    path.ends_with(".safetensors") || path.ends_with(".bin")
}

pub(crate) fn listing(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut entries = vec![r#"{"type":"directory","oid":"0a","size":0,"path":"vae"}"#.to_owned()];
    for (path, content) in files {
        let size = content.len();
        entries.push(if is_large(path) {
            let sha256 = sha256(content);
            let pointer = format!(
                "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
            );
            format!(
                r#"{{"type":"file","oid":"{}","size":{size},"path":"{path}","lfs":{{"oid":"{sha256}","size":{size},"pointerSize":{}}}}}"#,
                git_id(pointer.as_bytes()),
                pointer.len()
            )
        } else {
            format!(
                r#"{{"type":"file","oid":"{}","size":{size},"path":"{path}"}}"#,
                git_id(content)
            )
        });
    }
    format!("[{}]", entries.join(","))
}

pub(crate) fn answer(
    mut stream: &TcpStream,
    request: &Request,
    files: &BTreeMap<String, Vec<u8>>,
    commit: &str,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let path = request.target.split('?').next().unwrap();
    let mut headers = vec![format!("X-Repo-Commit: {commit}")];
    let mut status = 200;
    let mut body = Vec::new();
    let mut is_content = false;
    if path == "/api/models/acme/film/revision/main" {
        body = format!(r#"{{"_id":"1","id":"acme/film","sha":"{commit}"}}"#).into_bytes();
    } else if path == format!("/api/models/acme/film/tree/{commit}") {
        body = listing(files).into_bytes();
    } else if let Some(name) = path.strip_prefix("/cdn/") {
        body = files.values().find(|c| sha256(c) == name).unwrap().clone();
        is_content = true;
    } else if let Some(name) = path.strip_prefix(&format!("/acme/film/resolve/{commit}/")) {
        let content = &files[name];
        if is_large(name) {
            // To another host as far as the client can tell, as real hubs do.
            let port = stream.local_addr()?.port();
            headers.push(format!(
                "Location: http://localhost:{port}{}/cdn/{}",
                request.prefix,
                sha256(content)
            ));
            headers.push(format!("X-Linked-Size: {}", content.len()));
            headers.push(format!("X-Linked-Etag: \"{}\"", sha256(content)));
            status = 302;
        } else {
            headers.push(format!("ETag: \"{}\"", git_id(content)));
            body = content.clone();
            is_content = true;
        }
    } else {
        status = 404;
    }
    let mut cut = None;
    let mut stall = false;
    match fault {
        Some(Fault::Status(code, name, message)) => {
            status = code;
            body = format!(r#"{{"error":"{message}"}}"#).into_bytes();
            headers = vec![format!("X-Error-Code: {name}")];
        }
        Some(Fault::Body(ref text)) => body = text.clone().into_bytes(),
        Some(Fault::Cut(at)) => cut = Some(at),
        Some(Fault::Stall(at)) => (cut, stall) = (Some(at), true),
        Some(Fault::Wrong) => body.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::IgnoreRange) | None => {}
    }
    if let Some(from) = request.range_from.filter(|_| is_content && status == 200)
        && !matches!(fault, Some(Fault::IgnoreRange))
    {
        let total = body.len();
        headers.push(format!("Content-Range: bytes {from}-{}/{total}", total - 1));
        body.drain(..from);
        status = 206;
    }
    write!(
        stream,
        "HTTP/1.1 {status} Text\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    )?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    write!(stream, "\r\n")?;
    if request.method != "HEAD" {
        body.truncate(cut.unwrap_or(body.len()));
        stream.write_all(&body)?;
        stream.flush()?;
        if stall {
            std::thread::sleep(Duration::from_secs(60));
        }
    }
    Ok(())
}

pub(crate) fn film_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "README.md",
            b"---\nlicense: other\nlicense_name: acme-1\n---\n# Film\n".to_vec(),
        ),
        ("model_index.json", b"{}".to_vec()),
        ("teaser.png", noise(1000)),
        ("transformer/config.json", b"{\"a\": 1}".to_vec()),
        ("transformer/model.safetensors", noise(300_000)),
        ("transformer/model.bin", noise(7)),
        ("vae/empty.safetensors", Vec::new()),
    ]
}
