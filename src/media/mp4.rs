//! MP4 with one H.264 track, its index in front of the data so that playing can begin while the
//! file is being downloaded.
//!
//! The index is known only at the end, so encoded frames wait in an unnamed temporary file and
//! are copied behind it. Only the size of each frame is kept in memory.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::num::NonZeroU32;

use shiguredo_mp4::bitstream::h264::{H264SampleEntryConfig, LengthSize, build_avc1_box};
use shiguredo_mp4::boxes::{
    Avc1Box, Brand, Co64Box, DinfBox, FtypBox, HdlrBox, MdatBox, MdhdBox, MdiaBox, MediaHeader,
    MinfBox, MoovBox, MvhdBox, SampleEntry, StblBox, StcoBox, StscBox, StscEntry, StsdBox, StssBox,
    StszBox, SttsBox, SttsEntry, TkhdBox, TrakBox, UnknownBox, VmhdBox,
};
use shiguredo_mp4::{
    BoxHeader, BoxSize, BoxType, Either, Encode, FixedPointNumber, LanguageCode, Mp4FileTime,
};

use super::format::FrameRate;
use super::h264::H264;
use super::metadata::{Metadata, SOFTWARE};
use super::writer::{Sink, VideoOptions};

/// Writes MP4.
pub(super) struct Mp4Sink<W> {
    encoder: H264,
    out: W,
    spool: BufWriter<File>,
    sample: Vec<u8>,
    sizes: Vec<u32>,
    keyframes: Vec<NonZeroU32>,
    rate: FrameRate,
    metadata: Metadata,
}

impl<W: Write> Mp4Sink<W> {
    /// `spool` holds the encoded frames until the end.
    pub(super) fn new(
        out: W,
        spool: File,
        options: &VideoOptions,
        rate: FrameRate,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        Ok(Self {
            encoder: H264::new(options.width, options.height, rate)?,
            out,
            spool: BufWriter::new(spool),
            sample: Vec::new(),
            sizes: Vec::new(),
            keyframes: Vec::new(),
            rate,
            metadata: metadata.clone(),
        })
    }
}

impl<W: Write + Send> Sink for Mp4Sink<W> {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        self.sample.clear();
        let keyframe = self.encoder.encode(rgb, &mut self.sample)?;
        self.spool.write_all(&self.sample)?;
        self.sizes.push(self.sample.len() as u32);
        if keyframe {
            let number = NonZeroU32::new(self.sizes.len() as u32);
            self.keyframes.push(number.expect("a frame was just added"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let mut this = *self;
        let mut spool = this.spool.into_inner()?;
        spool.rewind()?;
        let data_bytes: u64 = this.sizes.iter().map(|&s| u64::from(s)).sum();
        let index = Index {
            entry: sample_entry(&this.encoder)?,
            sizes: this.sizes,
            keyframes: this.keyframes,
            rate: this.rate,
            metadata: this.metadata,
        };
        let front = index.front(data_bytes).map_err(io::Error::other)?;
        this.out.write_all(&front)?;
        if io::copy(&mut spool, &mut this.out)? != data_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        this.out.flush()
    }
}

/// The `avc1` entry, with the colours said in a `colr` box as well as in the stream.
fn sample_entry(encoder: &H264) -> io::Result<Avc1Box> {
    let config = H264SampleEntryConfig {
        length_size: LengthSize::FourBytes,
    };
    let (sps, pps) = (vec![encoder.sps.clone()], vec![encoder.pps.clone()]);
    let mut entry = build_avc1_box(&sps, &pps, &config).map_err(io::Error::other)?;
    let mut colours = b"nclx".to_vec();
    for bt709 in [1_u16, 1, 1] {
        colours.extend(bt709.to_be_bytes());
    }
    let limited_range = 0;
    colours.push(limited_range);
    entry.unknown_boxes.push(boxed(b"colr", colours));
    Ok(entry)
}

/// Everything that stands in front of the frames.
struct Index {
    entry: Avc1Box,
    sizes: Vec<u32>,
    keyframes: Vec<NonZeroU32>,
    rate: FrameRate,
    metadata: Metadata,
}

impl Index {
    /// `ftyp`, `moov` and the header of `mdat`.
    fn front(&self, data_bytes: u64) -> shiguredo_mp4::Result<Vec<u8>> {
        let file_type = FtypBox {
            major_brand: Brand::ISOM,
            minor_version: 0x200,
            compatible_brands: vec![Brand::ISOM, Brand::ISO2, Brand::AVC1, Brand::MP41],
        };
        let file_type = file_type.encode_to_vec()?;
        let data_header = BoxHeader {
            box_type: MdatBox::TYPE,
            box_size: BoxSize::with_payload_size(MdatBox::TYPE, data_bytes),
        };
        let data_header = data_header.encode_to_vec()?;
        let offset = |at: u64| match u32::try_from(at) {
            Ok(at) if data_bytes < 1 << 31 => Either::A(StcoBox {
                chunk_offsets: vec![at],
            }),
            _ => Either::B(Co64Box {
                chunk_offsets: vec![at],
            }),
        };
        // The size of the index does not depend on the offset that it holds.
        let measured = self.movie(offset(0)).encode_to_vec()?;
        let start = file_type.len() + measured.len() + data_header.len();
        let movie = self.movie(offset(start as u64)).encode_to_vec()?;
        Ok([file_type, movie, data_header].concat())
    }

    /// `moov` with all frames in one chunk at `offset`.
    fn movie(&self, offset: Either<StcoBox, Co64Box>) -> MoovBox {
        let (timescale, frame_duration) = self.times();
        let duration = self.sizes.len() as u64 * u64::from(frame_duration);
        let time = Mp4FileTime::default();
        let track = TrakBox {
            tkhd_box: TkhdBox {
                flag_track_enabled: true,
                flag_track_in_movie: true,
                flag_track_in_preview: false,
                flag_track_size_is_aspect_ratio: false,
                creation_time: time,
                modification_time: time,
                track_id: 1,
                duration,
                layer: TkhdBox::DEFAULT_LAYER,
                alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
                volume: TkhdBox::DEFAULT_VIDEO_VOLUME,
                matrix: TkhdBox::DEFAULT_MATRIX,
                width: FixedPointNumber::new(self.entry.visual.width as i16, 0),
                height: FixedPointNumber::new(self.entry.visual.height as i16, 0),
            },
            edts_box: None,
            mdia_box: MdiaBox {
                mdhd_box: MdhdBox {
                    creation_time: time,
                    modification_time: time,
                    timescale,
                    duration,
                    language: LanguageCode::UNDEFINED,
                },
                hdlr_box: HdlrBox {
                    handler_type: HdlrBox::HANDLER_TYPE_VIDE,
                    name: b"VideoHandler\0".to_vec(),
                },
                minf_box: MinfBox {
                    media_header: Some(MediaHeader::Vmhd(VmhdBox {
                        graphicsmode: VmhdBox::DEFAULT_GRAPHICSMODE,
                        opcolor: VmhdBox::DEFAULT_OPCOLOR,
                    })),
                    dinf_box: DinfBox::LOCAL_FILE,
                    stbl_box: self.sample_table(frame_duration, offset),
                    unknown_boxes: Vec::new(),
                },
                unknown_boxes: Vec::new(),
            },
            unknown_boxes: Vec::new(),
        };
        MoovBox {
            mvhd_box: MvhdBox {
                creation_time: time,
                modification_time: time,
                timescale,
                duration,
                rate: MvhdBox::DEFAULT_RATE,
                volume: MvhdBox::DEFAULT_VOLUME,
                matrix: MvhdBox::DEFAULT_MATRIX,
                next_track_id: 2,
            },
            trak_boxes: vec![track],
            mvex_box: None,
            unknown_boxes: vec![user_data(&self.metadata)],
        }
    }

    fn sample_table(&self, frame_duration: u32, offset: Either<StcoBox, Co64Box>) -> StblBox {
        let sample_count = self.sizes.len() as u32;
        StblBox {
            stsd_box: StsdBox {
                entries: vec![SampleEntry::Avc1(self.entry.clone())],
            },
            stts_box: SttsBox {
                entries: vec![SttsEntry {
                    sample_count,
                    sample_delta: frame_duration,
                }],
            },
            ctts_box: None,
            cslg_box: None,
            stsc_box: StscBox {
                entries: vec![StscEntry {
                    first_chunk: NonZeroU32::MIN,
                    sample_per_chunk: sample_count,
                    sample_description_index: NonZeroU32::MIN,
                }],
            },
            stsz_box: StszBox::Variable {
                entry_sizes: self.sizes.clone(),
            },
            stco_or_co64_box: offset,
            stss_box: Some(StssBox {
                sample_numbers: self.keyframes.clone(),
            }),
            sdtp_box: None,
            unknown_boxes: Vec::new(),
        }
    }

    /// Units per second and units per frame. Units are fine enough (10,000 per second or more)
    /// for editors that measure other tracks by them.
    fn times(&self) -> (NonZeroU32, u32) {
        let factor = 10_000_u32.div_ceil(self.rate.frames);
        let timescale = NonZeroU32::new(self.rate.frames * factor);
        (
            timescale.expect("a rate is at least 0.1 frames per second"),
            self.rate.seconds * factor,
        )
    }
}

/// `udta` with the title, comment and program as iTunes stores them, which is where players look.
fn user_data(metadata: &Metadata) -> UnknownBox {
    let mut items = Vec::new();
    let texts = [
        (b"\xa9nam", metadata.title.as_deref()),
        (b"\xa9cmt", metadata.comment.as_deref()),
        (b"\xa9too", Some(SOFTWARE)),
    ];
    for (kind, text) in texts {
        if let Some(text) = text {
            let utf8_any_language = [0, 0, 0, 1, 0, 0, 0, 0];
            let value = [&utf8_any_language, text.as_bytes()].concat();
            items.push(boxed(kind, bytes(&boxed(b"data", value))));
        }
    }
    let list = boxed(b"ilst", items.iter().flat_map(bytes).collect());
    let mut handler = vec![0; 8];
    handler.extend(b"mdirappl");
    handler.extend([0; 9]);
    let mut meta = vec![0; 4];
    meta.extend(bytes(&boxed(b"hdlr", handler)));
    meta.extend(bytes(&list));
    boxed(b"udta", bytes(&boxed(b"meta", meta)))
}

fn boxed(kind: &[u8; 4], payload: Vec<u8>) -> UnknownBox {
    let box_type = BoxType::Normal(*kind);
    UnknownBox {
        box_type,
        box_size: BoxSize::with_payload_size(box_type, payload.len() as u64),
        payload,
    }
}

fn bytes(unknown: &UnknownBox) -> Vec<u8> {
    unknown
        .encode_to_vec()
        .expect("the size of the box was computed from its payload")
}
