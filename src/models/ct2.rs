//! Reading CTranslate2 model files: an index of the variables, then any run of a variable's values.
//!
//! Layout, little endian: `u32` version, string name of the specification, `u32` revision, `u32` count; per variable a
//! string name, `u8` rank, `u32` dimensions, `u8` type, `u32` bytes, data; then `u32` aliases of two strings each. A
//! string is `u16` length and bytes, the last one NUL. Only the index is kept; data is read when asked for.
//! Source: CTranslate2's `python/ctranslate2/specs/model_spec.py`, binary version 6.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use half::f16;

use super::convert::ConvertError;

/// Binary version read here.
const VERSION: u32 = 6;
/// Whisper's largest weights have three dimensions.
const MAX_RANK: u8 = 4;

/// How a variable's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    F32,
    F16,
    /// Integers of this many bytes: flags, or quantised weights.
    Integer(u8),
}

impl Scalar {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::F32),
            1 => Some(Self::Integer(1)),
            2 => Some(Self::Integer(2)),
            3 => Some(Self::Integer(4)),
            4 => Some(Self::F16),
            _ => None,
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Integer(bytes) => bytes.into(),
        }
    }
}

/// One variable of the index.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub dims: Vec<u32>,
    pub scalar: Scalar,
    offset: u64,
}

/// The index of a file.
#[derive(Debug)]
pub(super) struct Ct2<R> {
    file: BufReader<R>,
    variables: HashMap<String, Variable>,
    aliases: HashMap<String, String>,
}

impl<R: Read + Seek> Ct2<R> {
    /// Reads the index. Memory grows with the variables in the file, not with what the file says it holds.
    pub fn open(mut file: R) -> Result<Self, ConvertError> {
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut file = BufReader::new(file);
        let version = u32(&mut file, "version")?;
        if version != VERSION {
            return Err(ConvertError::NotCt2 { reason: format!("binary version {version}, expected {VERSION}") });
        }
        let specification = string(&mut file, "specification")?;
        if specification != "WhisperSpec" {
            return Err(ConvertError::NotCt2 { reason: format!("specification {specification:?}, no Whisper model") });
        }
        let _revision = u32(&mut file, "revision")?;
        let count = u32(&mut file, "count of variables")?;
        let mut variables = HashMap::new();
        for _ in 0..count {
            let name = string(&mut file, "name of a variable")?;
            let variable = variable(&mut file, &name, length)?;
            variables.insert(name, variable);
        }
        let mut aliases = HashMap::new();
        for _ in 0..u32(&mut file, "count of aliases")? {
            aliases.insert(string(&mut file, "alias")?, string(&mut file, "target of an alias")?);
        }
        Ok(Self { file, variables, aliases })
    }

    /// The variable called `name`, or the one it is an alias of.
    pub fn find(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name).or_else(|| self.variables.get(self.aliases.get(name)?))
    }

    /// Feeds `count` values from the `skip`th on to `sink`, a few thousand at a time.
    ///
    /// The range must lie inside the variable, which must hold floats.
    pub fn values(
        &mut self,
        variable: &Variable,
        skip: u64,
        count: u64,
        mut sink: impl FnMut(Values<'_>) -> io::Result<()>,
    ) -> Result<(), ConvertError> {
        let size = variable.scalar.bytes();
        self.file.seek(SeekFrom::Start(variable.offset + skip * size))?;
        let mut buffer = [0; 16 * 1024];
        let mut left = count * size;
        while left > 0 {
            let take = left.min(buffer.len() as u64) as usize;
            self.file.read_exact(&mut buffer[..take]).map_err(|error| cut(error, "values"))?;
            sink(match variable.scalar {
                Scalar::F16 => Values::F16(&buffer[..take]),
                _ => Values::F32(&buffer[..take]),
            })?;
            left -= take as u64;
        }
        Ok(())
    }
}

/// Some values in a row, as little-endian bytes.
pub(super) enum Values<'a> {
    F32(&'a [u8]),
    F16(&'a [u8]),
}

impl Values<'_> {
    /// Appends them as little-endian `f32`.
    pub fn extend_f32(&self, out: &mut Vec<u8>) {
        match self {
            Self::F32(bytes) => out.extend_from_slice(bytes),
            Self::F16(bytes) => {
                for pair in bytes.chunks_exact(2) {
                    out.extend_from_slice(&f16::from_le_bytes([pair[0], pair[1]]).to_f32().to_le_bytes());
                }
            }
        }
    }

    /// Appends them as little-endian `f16`, rounded to nearest.
    pub fn extend_f16(&self, out: &mut Vec<u8>) {
        match self {
            Self::F16(bytes) => out.extend_from_slice(bytes),
            Self::F32(bytes) => {
                for four in bytes.chunks_exact(4) {
                    let value = f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
                    out.extend_from_slice(&f16::from_f32(value).to_le_bytes());
                }
            }
        }
    }
}

/// Reads a variable's head and steps over its data.
fn variable<R: Read + Seek>(file: &mut BufReader<R>, name: &str, length: u64) -> Result<Variable, ConvertError> {
    let malformed = |reason: String| ConvertError::Malformed { name: name.to_owned(), reason };
    let rank = u8(file, "rank")?;
    if rank > MAX_RANK {
        return Err(malformed(format!("rank {rank}")));
    }
    let dims = (0..rank).map(|_| u32(file, "dimension")).collect::<Result<Vec<_>, _>>()?;
    let code = u8(file, "type")?;
    let scalar = Scalar::from_code(code).ok_or_else(|| malformed(format!("type {code}")))?;
    let bytes = u64::from(u32(file, "bytes")?);
    let values = dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(u64::from(*dim)));
    if values.and_then(|values| values.checked_mul(scalar.bytes())) != Some(bytes) {
        return Err(malformed(format!("{bytes} bytes for dimensions {dims:?}")));
    }
    let offset = file.stream_position()?;
    if offset + bytes > length {
        return Err(ConvertError::Truncated { what: "values" });
    }
    file.seek_relative(i64::try_from(bytes).expect("a u32 fits an i64"))?;
    Ok(Variable { dims, scalar, offset })
}

fn array<const N: usize>(file: &mut impl Read, what: &'static str) -> Result<[u8; N], ConvertError> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map_err(|error| cut(error, what))?;
    Ok(bytes)
}

fn u8(file: &mut impl Read, what: &'static str) -> Result<u8, ConvertError> {
    Ok(array::<1>(file, what)?[0])
}

fn u32(file: &mut impl Read, what: &'static str) -> Result<u32, ConvertError> {
    array(file, what).map(u32::from_le_bytes)
}

fn string(file: &mut impl Read, what: &'static str) -> Result<String, ConvertError> {
    let length = u16::from_le_bytes(array(file, what)?);
    let mut bytes = vec![0; length.into()];
    file.read_exact(&mut bytes).map_err(|error| cut(error, what))?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| ConvertError::NotCt2 { reason: format!("{what} is no text") })
}

fn cut(error: io::Error, what: &'static str) -> ConvertError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ConvertError::Truncated { what },
        _ => ConvertError::Io(error),
    }
}
