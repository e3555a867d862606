//! temp
#![allow(missing_docs)]
use crate::tensor::DType;
use crate::{Error, Result};
pub struct TensorEntry {
    dtype: DType,
    shape: Vec<usize>,
    strides: Vec<usize>,
    start: usize,
    end: usize,
}
impl TensorEntry {
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }
}
pub struct Weights {
    bytes: Vec<u8>,
    map: std::collections::BTreeMap<String, TensorEntry>,
}
impl Weights {
    pub fn open(path: &std::path::Path) -> Result<Self> {
        let p1;
        let path = if path.is_dir() {
            p1 = [
                "weights.safetensors",
                "diffusion_pytorch_model.safetensors",
                "model.safetensors",
            ]
            .iter()
            .map(|f| path.join(f))
            .find(|p| p.is_file())
            .unwrap();
            &p1
        } else {
            path
        };
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let (n, meta) = safetensors::SafeTensors::read_metadata(&bytes)
            .map_err(|e| Error::file(path, e.to_string()))?;
        let mut map = std::collections::BTreeMap::new();
        for (name, i) in meta.tensors() {
            let dtype = match i.dtype {
                safetensors::Dtype::F32 => DType::F32,
                safetensors::Dtype::F16 => DType::F16,
                safetensors::Dtype::I64 => DType::I64,
                safetensors::Dtype::U8 => DType::U8,
                _ => continue,
            };
            let mut strides = vec![1; i.shape.len()];
            for k in (0..i.shape.len().saturating_sub(1)).rev() {
                strides[k] = strides[k + 1] * i.shape[k + 1];
            }
            map.insert(
                name,
                TensorEntry {
                    dtype,
                    shape: i.shape.clone(),
                    strides,
                    start: 8 + n + i.data_offsets.0,
                    end: 8 + n + i.data_offsets.1,
                },
            );
        }
        Ok(Self { bytes, map })
    }
    pub fn get(&self, n: &str) -> Option<&TensorEntry> {
        self.map.get(n)
    }
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(|s| s.as_str())
    }
    pub fn bytes(&self, e: &TensorEntry) -> Result<&[u8]> {
        Ok(&self.bytes[e.start..e.end])
    }
    pub fn file_name(&self, _e: &TensorEntry) -> String {
        "file".into()
    }
}
impl Weights {
    pub fn read(&self, n: &str) -> Result<crate::tensor::HostTensor> {
        let e = &self.map[n];
        Ok(crate::tensor::HostTensor::from_le_bytes(
            e.dtype,
            e.shape.clone(),
            &self.bytes[e.start..e.end],
        ))
    }
}
