//! Moving one repository's list of files and their contents over the network.
//!
//! The `hf-hub` crate speaks to the hub. Its own way of filling the cache starts over after every
//! interruption and cannot be stopped, so this takes its byte streams, asks for the part of a file
//! that is missing, looks ten times a second whether it is to stop and checks what arrived.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hf_hub::repository::{HFRepository, RepoTreeEntry, RepoTypeModel};

use super::DownloadObserver;
use super::cache::{Content, RemoteFile, RepoCache, is_hex};
use super::failure::{self, Failure, root};
use crate::cancel::Cancel;
use crate::{Error, Result};

/// How often a running transfer looks at its observer.
const POLL: Duration = Duration::from_millis(100);

/// How many times in a row a file may stop arriving without a byte in between.
const ATTEMPTS: u32 = 3;

pub(super) struct Transfer<'a> {
    pub(super) repo: HFRepository<RepoTypeModel>,
    pub(super) failure: Failure<'a>,
    pub(super) observer: &'a dyn DownloadObserver,
    pub(super) cancel: &'a Cancel,
    /// How long the hub may say nothing.
    pub(super) patience: Duration,
}

/// Why waiting ended without a result.
enum Stop {
    Cancelled,
    Stalled,
}

/// How one attempt at a file ended.
enum Attempt {
    /// Complete and right; the name of its blob.
    Whole(String),
    /// The connection went away; what has arrived is good.
    Cut(String),
    /// What has arrived is not the file.
    Wrong(&'static str),
}

impl Transfer<'_> {
    /// The commit of a revision, and its files.
    pub(super) async fn list(&self, revision: &str) -> Result<(String, Vec<RemoteFile>)> {
        let info = self
            .answer(self.repo.info().revision(revision).send())
            .await?;
        let commit = info
            .sha
            .filter(|sha| is_hex(sha))
            .ok_or_else(|| self.failure.not_a_hub("no commit"))?;
        let listing = async {
            let mut entries = Vec::new();
            let mut stream = pin!(
                self.repo
                    .list_tree()
                    .revision(&commit)
                    .recursive(true)
                    .send()?
            );
            while let Some(entry) = stream.next().await {
                entries.push(entry?);
            }
            Ok(entries)
        };
        let entries = self.answer(listing).await?;
        let files: Vec<RemoteFile> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                RepoTreeEntry::File {
                    path,
                    size,
                    oid,
                    lfs,
                    ..
                } => Some(RemoteFile {
                    path,
                    size,
                    oid,
                    large: lfs.is_some(),
                }),
                RepoTreeEntry::Directory { .. } => None,
            })
            .collect();
        match files.iter().find(|file| !file.is_safe()) {
            Some(file) => Err(self
                .failure
                .not_a_hub(&format!("it lists a file {:?}", file.path))),
            None => Ok((commit, files)),
        }
    }

    /// Gets a file's content into the cache, unless it is there. What an earlier run left is
    /// gone on with.
    pub(super) async fn fetch(
        &self,
        cache: &RepoCache,
        commit: &str,
        file: &RemoteFile,
    ) -> Result<()> {
        let _lock = loop {
            if cache.blob(file).is_some() {
                self.observer.progress(&file.path, file.size, file.size);
                return Ok(());
            }
            match cache.try_lock(file)? {
                Some(lock) => break lock,
                // Another process is getting it.
                None => self.pause(POLL).await?,
            }
        };
        if cache.blob(file).is_some() {
            return Ok(());
        }
        let partial = cache.partial(file);
        let mut failures = 0;
        let mut started_over = false;
        loop {
            let before = size(&partial);
            match self.attempt(&partial, commit, file).await? {
                Attempt::Whole(blob) => return cache.keep(file, &blob),
                Attempt::Wrong(reason) => {
                    std::fs::remove_file(&partial).map_err(Error::io("remove", &partial))?;
                    if started_over {
                        return Err(self.failure.because(
                            &format!("{} is not what the hub lists ({reason})", file.path),
                            "run again later, or set HF_ENDPOINT to another mirror",
                        ));
                    }
                    started_over = true;
                    tracing::debug!(file = file.path, reason, "starting over");
                }
                Attempt::Cut(reason) => {
                    failures = if size(&partial) > before {
                        1
                    } else {
                        failures + 1
                    };
                    tracing::debug!(file = file.path, reason, failures, "connection lost");
                    if failures == ATTEMPTS {
                        return Err(self.failure.cut(&file.path, &reason));
                    }
                    self.pause(failures * Duration::from_millis(300)).await?;
                }
            }
        }
    }

    async fn attempt(&self, partial: &Path, commit: &str, file: &RemoteFile) -> Result<Attempt> {
        let mut content = Content::new(file);
        let mut done = self.absorb(partial, &mut content)?;
        if done > file.size {
            return Ok(Attempt::Wrong("it is too long"));
        }
        let mut out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(partial)
            .map_err(Error::io("create", partial))?;
        self.observer.progress(&file.path, done, file.size);
        if done < file.size {
            let request = self
                .repo
                .download_file_stream()
                .filename(&file.path)
                .revision(commit)
                .maybe_range((done > 0).then_some(done..file.size))
                .send();
            let mut stream = match self.within(request).await {
                Ok(Ok((_, stream))) => stream,
                Ok(Err(error)) => match failure::status(&error) {
                    Some(416) => return Ok(Attempt::Wrong("its end is not where it should be")),
                    Some(_) => return Err(self.failure.from(&error)),
                    None => return Ok(Attempt::Cut(root(&error))),
                },
                Err(stop) => return self.stopped(stop),
            };
            loop {
                match self.within(stream.next()).await {
                    Ok(Some(Ok(bytes))) => {
                        done += bytes.len() as u64;
                        // Also how a server shows that it sends all where a part was asked for.
                        if done > file.size {
                            return Ok(Attempt::Wrong("it is too long"));
                        }
                        out.write_all(&bytes).map_err(Error::io("write", partial))?;
                        content.update(&bytes);
                        self.observer.progress(&file.path, done, file.size);
                    }
                    Ok(Some(Err(error))) => return Ok(Attempt::Cut(root(&error))),
                    Ok(None) => break,
                    Err(stop) => return self.stopped(stop),
                }
            }
        }
        if done < file.size {
            return Ok(Attempt::Cut("it ended early".into()));
        }
        Ok(match content.blob(file) {
            Some(blob) => Attempt::Whole(blob),
            None => Attempt::Wrong("its checksum differs"),
        })
    }

    /// Takes what an earlier attempt left into account and returns its length.
    fn absorb(&self, partial: &Path, content: &mut Content) -> Result<u64> {
        let mut file = match File::open(partial) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(Error::io("open", partial)(e)),
        };
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            self.cancel.check()?;
            match file.read(&mut buffer).map_err(Error::io("read", partial))? {
                0 => return Ok(done),
                n => {
                    content.update(&buffer[..n]);
                    done += n as u64;
                }
            }
        }
    }

    fn stopped(&self, stop: Stop) -> Result<Attempt> {
        match stop {
            Stop::Cancelled => Err(Error::Cancelled),
            Stop::Stalled => Ok(Attempt::Cut(failure::stalled(self.patience))),
        }
    }

    /// Waits for one of the hub's answers.
    async fn answer<T>(&self, request: impl Future<Output = hf_hub::HFResult<T>>) -> Result<T> {
        match self.within(request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure.from(&error)),
            Err(Stop::Cancelled) => Err(Error::Cancelled),
            Err(Stop::Stalled) => Err(self.failure.stalled(self.patience)),
        }
    }

    async fn pause(&self, length: Duration) -> Result<()> {
        match self.within(tokio::time::sleep(length)).await {
            Err(Stop::Cancelled) => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }

    /// Waits for a result until the work is cancelled or the hub has said nothing for too long.
    async fn within<T>(&self, future: impl Future<Output = T>) -> std::result::Result<T, Stop> {
        let mut future = pin!(future);
        let start = Instant::now();
        loop {
            if self.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if let Ok(result) = tokio::time::timeout(POLL, future.as_mut()).await {
                return Ok(result);
            }
            if start.elapsed() >= self.patience {
                return Err(Stop::Stalled);
            }
        }
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}
