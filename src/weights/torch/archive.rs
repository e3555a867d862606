//! The zip archive around a PyTorch checkpoint: where its records lie in the file.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config, ZipArchive};

/// A pickle holds names and shapes, a few hundred bytes per tensor.
const MAX_PICKLE_BYTES: usize = 64 << 20;

/// Places of the records of an archive.
pub(super) struct Archive {
    prefix: String,
    records: BTreeMap<String, Record>,
}

struct Record {
    place: Range<usize>,
    /// Why the record cannot be used where it lies.
    problem: Option<&'static str>,
}

impl Archive {
    /// Reads the directory of the archive and its pickle.
    pub(super) fn read(
        mut reader: impl Read + Seek,
        file_len: usize,
    ) -> Result<(Self, Vec<u8>), String> {
        let records = directory(&mut reader, file_len).map_err(|error| {
            format!(
                "is no complete zip archive ({error}); it is cut off or damaged, download it again"
            )
        })?;
        let mut pickles = records
            .keys()
            .filter_map(|name| name.strip_suffix("data.pkl"))
            .filter(|prefix| prefix.strip_suffix('/').is_some_and(|p| !p.contains('/')));
        let prefix = match (pickles.next(), pickles.next()) {
            (Some(prefix), None) => prefix.to_owned(),
            (None, _) => return Err("is a zip archive without a PyTorch data.pkl".into()),
            _ => return Err("is a zip archive with several PyTorch data.pkl".into()),
        };
        let archive = Self { prefix, records };
        if archive.find("constants.pkl").is_some() {
            return Err(
                "is a TorchScript program; save the state dict of the model instead".into(),
            );
        }
        if let Some(record) = archive.find("byteorder") {
            let order = bytes(&mut reader, usable(record, "byteorder")?, "byteorder", 16)?;
            if order != b"little" {
                return Err(format!(
                    "its byte order is {:?}; only little-endian checkpoints are read",
                    String::from_utf8_lossy(&order)
                ));
            }
        }
        let Some(record) = archive.find("data.pkl") else {
            return Err("is a zip archive without a PyTorch data.pkl".into());
        };
        let pickle = bytes(
            &mut reader,
            usable(record, "data.pkl")?,
            "data.pkl",
            MAX_PICKLE_BYTES,
        )?;
        Ok((archive, pickle))
    }

    /// The place of a storage.
    pub(super) fn storage(&self, key: &str) -> Result<Range<usize>, String> {
        let name = format!("data/{key}");
        match self.find(&name) {
            Some(record) => usable(record, &name),
            None => Err(format!("its storage {key:?} is not in the file")),
        }
    }

    fn find(&self, name: &str) -> Option<&Record> {
        self.records.get(&format!("{}{name}", self.prefix))
    }
}

/// The place of a record, if it can be used where it lies.
fn usable(record: &Record, name: &str) -> Result<Range<usize>, String> {
    match record.problem {
        None => Ok(record.place.clone()),
        Some(problem) => Err(format!(
            "its record {name} is {problem}; save it again with torch.save"
        )),
    }
}

/// Reads the directory at the end of the archive and the header of every record.
fn directory(
    reader: &mut (impl Read + Seek),
    file_len: usize,
) -> Result<BTreeMap<String, Record>, String> {
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let mut zip = ZipArchive::with_config(config, reader).map_err(|error| error.to_string())?;
    if zip.has_duplicate_names() {
        return Err("two records have one name".into());
    }
    if zip.has_overlapping_entries().map_err(|e| e.to_string())? {
        return Err("records overlap".into());
    }
    let mut records = BTreeMap::new();
    for index in 0..zip.len() {
        let record = zip.by_index_raw(index).map_err(|e| e.to_string())?;
        let name = record.name().map_err(|e| e.to_string())?.into_owned();
        let place = record
            .data_start()
            .and_then(|start| Some(start..start.checked_add(record.compressed_size())?))
            .and_then(|place| {
                Some(usize::try_from(place.start).ok()?..usize::try_from(place.end).ok()?)
            })
            .filter(|place| place.end <= file_len)
            .ok_or_else(|| format!("record {name:?} leaves the file"))?;
        let problem = if record.encrypted() {
            Some("encrypted")
        } else if record.compression() != CompressionMethod::Stored {
            Some("compressed")
        } else if record.size() != record.compressed_size() {
            Some("damaged")
        } else {
            None
        };
        records.insert(name, Record { place, problem });
    }
    Ok(records)
}

fn bytes(
    reader: &mut (impl Read + Seek),
    place: Range<usize>,
    name: &str,
    limit: usize,
) -> Result<Vec<u8>, String> {
    if place.len() > limit {
        return Err(format!(
            "its {name} is {} bytes long; at most {limit} are read; save only the state dict, or \
             use safetensors",
            place.len()
        ));
    }
    let mut bytes = vec![0; place.len()];
    reader
        .seek(SeekFrom::Start(place.start as u64))
        .and_then(|_| reader.read_exact(&mut bytes))
        .map_err(|error| format!("its {name} cannot be read: {error}"))?;
    Ok(bytes)
}
