//! Models from a hub: a repository's files, downloaded once into the cache that all hub clients
//! share.
//!
//! ```no_run
//! use ascendit::cancel::Cancel;
//! use ascendit::checkpoint::hub::{Hub, RepoId, is_engine_file};
//!
//! let hub = Hub::from_env()?;
//! let film = RepoId::parse("acme/film@main")?;
//! let snapshot = hub.fetch(&film, &is_engine_file, &(), &Cancel::new())?;
//! println!("{}: licence {:?}", snapshot.dir.display(), snapshot.license);
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! A snapshot is there whole or not at all: contents arrive as `blobs/*.incomplete`, which the
//! next download goes on with, and the snapshot is made of links to them after the last one.
//! Everything that arrives is checked against the ids that git has for it. This module does not
//! know what the files mean.

mod cache;
mod failure;
mod repo_id;
mod selection;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use hf_hub::HFClient;

use self::cache::{RemoteFile, RepoCache};
use self::failure::Failure;
pub use self::repo_id::{Location, RepoId};
pub use self::selection::is_engine_file;
use self::transfer::Transfer;
use crate::cancel::Cancel;
use crate::{Error, Result, disk};

/// Which hub, and how to use it. What is `None` comes from the environment.
#[derive(Clone, Debug, Default)]
pub struct HubConfig {
    /// The hub's address, with `http://` or `https://`; it may have a path. `None`: `HF_ENDPOINT`,
    /// else the public hub.
    pub endpoint: Option<String>,
    /// The cache directory. `None`: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else
    /// `~/.cache/huggingface/hub`.
    pub cache_dir: Option<PathBuf>,
    /// The access token. `None`: `HF_TOKEN`, else the one that a login left in `HF_HOME`.
    pub token: Option<String>,
    /// Whether only the cache may be used.
    pub offline: bool,
    /// How long the hub may say nothing. `None`: 30 s.
    pub patience: Option<Duration>,
}

impl HubConfig {
    /// All from the environment; offline where `HF_HUB_OFFLINE` is `1` or `true`.
    pub fn from_env() -> Self {
        let offline = std::env::var("HF_HUB_OFFLINE").unwrap_or_default();
        Self {
            offline: matches!(offline.to_ascii_lowercase().as_str(), "1" | "true"),
            ..Self::default()
        }
    }
}

/// A hub and the cache of what was downloaded from it.
#[derive(Debug)]
pub struct Hub {
    client: HFClient,
    offline: bool,
    patience: Duration,
}

/// Is told how a download goes. The methods are called from another thread.
pub trait DownloadObserver: Sync {
    /// Before the first byte: what will be downloaded, as path and size in bytes. What the cache
    /// has is not in it.
    fn planned(&self, files: &[(String, u64)]) {
        let _ = files;
    }

    /// `done` of the `total` bytes of a file are there. `done` grows, except where content turns
    /// out to be wrong and is fetched anew.
    fn progress(&self, path: &str, done: u64, total: u64) {
        let _ = (path, done, total);
    }
}

/// Watches nothing.
impl DownloadObserver for () {}

/// A repository at a commit, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its folder. The files in it are links into the cache: canonicalise a path where a program
    /// refuses links.
    pub dir: PathBuf,
    /// The commit.
    pub commit: String,
    /// The licence that its model card states, to be shown to the user.
    pub license: Option<String>,
    /// The wanted files that it has, by their paths in the repository.
    pub files: Vec<String>,
}

impl Hub {
    /// The hub and the cache that the environment names.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn from_env() -> Result<Self> {
        Self::new(HubConfig::from_env())
    }

    /// The hub and the cache that a configuration names. Does not connect.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for an endpoint that is no address.
    pub fn new(config: HubConfig) -> Result<Self> {
        let endpoint = config
            .endpoint
            .or_else(|| std::env::var("HF_ENDPOINT").ok());
        let mut builder = HFClient::builder()
            .user_agent(concat!("ascendit/", env!("CARGO_PKG_VERSION")))
            .retry_max_attempts(2);
        if let Some(endpoint) = &endpoint {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err(Error::request(format!(
                    "the hub's address {endpoint:?} (HF_ENDPOINT) does not start with https:// or \
                     http://"
                )));
            }
            builder = builder.endpoint(endpoint);
        }
        if let Some(dir) = config.cache_dir {
            builder = builder.cache_dir(dir);
        }
        if let Some(token) = config.token {
            builder = builder.token(token);
        }
        let client = builder.build().map_err(|error| {
            Error::request(format!(
                "the hub {:?} (HF_ENDPOINT) cannot be used: {}",
                endpoint.unwrap_or_default(),
                failure::root(&error)
            ))
        })?;
        Ok(Self {
            client,
            offline: config.offline,
            patience: config.patience.unwrap_or(Duration::from_secs(30)),
        })
    }

    /// Gets those files of a repository that `wanted` says yes to (such as [`is_engine_file`]),
    /// less PyTorch weights and half-precision variants beside better files of the same folder.
    /// Offline, the snapshot that is in the cache is taken as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] when the hub cannot be reached or refuses, [`Error::Exhausted`] when the
    /// files do not fit on the disk, [`Error::Request`] when offline and not in the cache or when
    /// no file is wanted, [`Error::Cancelled`] within two seconds of `cancel` being set.
    pub fn fetch(
        &self,
        repo: &RepoId,
        wanted: &dyn Fn(&str) -> bool,
        observer: &dyn DownloadObserver,
        cancel: &Cancel,
    ) -> Result<Snapshot> {
        let cache = RepoCache::new(self.client.cache_dir(), repo);
        if self.offline {
            return self.cached(repo, &cache, wanted);
        }
        let transfer = Transfer {
            repo: self.client.model(repo.owner.as_str(), repo.name.as_str()),
            failure: Failure {
                repo,
                endpoint: self.client.endpoint(),
            },
            observer,
            cancel,
            patience: self.patience,
        };
        let (commit, listed) = block_on(transfer.list(repo.revision()))?;
        let paths: Vec<&str> = listed.iter().map(|file| file.path.as_str()).collect();
        let selected = selection::select(&paths, wanted);
        if selected.is_empty() {
            return Err(nothing_wanted(repo, &paths));
        }
        let files: Vec<RemoteFile> = listed
            .iter()
            .filter(|file| selected.contains(&file.path.as_str()))
            .cloned()
            .collect();

        let absent: Vec<&RemoteFile> = files.iter().filter(|f| cache.blob(f).is_none()).collect();
        let sizes: Vec<_> = absent.iter().map(|f| (f.path.clone(), f.size)).collect();
        observer.planned(&sizes);
        let missing = absent.iter().map(|file| {
            let arrived = cache.partial(file).metadata().map_or(0, |meta| meta.len());
            file.size.saturating_sub(arrived)
        });
        let missing = missing.fold(0, u64::saturating_add);
        disk::require(
            &repo.to_string(),
            missing,
            disk::free_bytes(self.client.cache_dir())?,
            self.client.cache_dir(),
            "set HF_HOME to a directory on a larger disk",
        )?;

        tracing::info!(%repo, commit, files = absent.len(), bytes = missing, "download");
        block_on(async {
            for file in &absent {
                transfer.fetch(&cache, &commit, file).await?;
            }
            Ok(())
        })?;
        let dir = cache.publish(&commit, repo.revision(), &files)?;
        Ok(snapshot(
            dir,
            commit,
            files.into_iter().map(|file| file.path).collect(),
        ))
    }

    fn cached(
        &self,
        repo: &RepoId,
        cache: &RepoCache,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Snapshot> {
        let (commit, dir) = cache.cached(repo.revision()).ok_or_else(|| {
            Error::request(format!(
                "{repo} is not in the cache {} and --offline forbids downloading it; run once \
                 without --offline, or give a directory",
                self.client.cache_dir().display()
            ))
        })?;
        let files = RepoCache::files(&dir);
        let paths: Vec<&str> = files.iter().map(String::as_str).collect();
        let selected = selection::select(&paths, wanted);
        if selected.is_empty() {
            return Err(nothing_wanted(repo, &paths));
        }
        let selected = selected.into_iter().map(str::to_owned).collect();
        Ok(snapshot(dir, commit, selected))
    }
}

fn snapshot(dir: PathBuf, commit: String, files: Vec<String>) -> Snapshot {
    let card = std::fs::read_to_string(dir.join("README.md")).unwrap_or_default();
    Snapshot {
        license: super::license::license(&card),
        dir,
        commit,
        files,
    }
}

fn nothing_wanted(repo: &RepoId, paths: &[&str]) -> Error {
    let mut text = paths[..paths.len().min(5)].join(", ");
    if paths.len() > 5 {
        text += ", ...";
    }
    if text.is_empty() {
        text = "nothing".into();
    }
    Error::request(format!(
        "{repo} has no file that the engine can use; it has {text}"
    ))
}

/// Runs a future to its end on a thread of its own, so that it may be called from anywhere, even
/// from inside another runtime.
fn block_on<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start a thread for", "the download"))?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let result = runtime.block_on(future);
            // Does not wait for a name lookup that still hangs.
            runtime.shutdown_background();
            result
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
