//! Whisper from CTranslate2 to ggml, the form whisper.cpp reads.
//!
//! ```text
//! ggml file   magic, 11 × i32 hyper-parameters
//!             mel filters: i32 rows, i32 columns, f32 …
//!             vocabulary: i32 count, each i32 length and raw bytes; most special tokens are not listed
//!             tensors: i32 rank, i32 name length, i32 type (0 f32, 1 f16), i32 dimensions, innermost first, name, data
//! ```
//! Values are copied run by run, so memory stays at the index and one buffer whatever the model's size. Vectors,
//! convolution biases and position tables are f32 in ggml, all other weights f16. Quantised weights are refused.
//! Source of the layout: whisper.cpp, `models/convert-pt-to-ggml.py` and `whisper_model_load`.

use std::collections::HashMap;
use std::io::{self, Read, Seek, Write};

use super::ct2::{Ct2, Scalar, Variable};
use super::mel;

/// Why a model can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Reading or writing failed.
    #[error("converting the model failed")]
    Io(#[from] io::Error),
    /// The file ends too early.
    #[error("the model file ends inside its {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
    },
    /// Not a Whisper model in CTranslate2 form.
    #[error("not a Whisper model in CTranslate2 form: {reason}")]
    NotCt2 {
        /// What was seen.
        reason: String,
    },
    /// A variable that can't be.
    #[error("malformed variable `{name}`: {reason}")]
    Malformed {
        /// Which.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A variable that Whisper has is not there.
    #[error("variable `{name}` is missing")]
    Missing {
        /// Which.
        name: String,
    },
    /// The vocabulary does not fit.
    #[error("vocabulary line {line}: {reason}")]
    Vocabulary {
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

const GGML_MAGIC: u32 = 0x6767_6d6c;
const F16: i32 = 1;
/// All Whisper models have heads of this width.
const HEAD_WIDTH: u32 = 64;
/// Tokens listed: the text tokens, 50,257 of a multilingual model; 50,256 of an English one and its end of text.
const LISTED_TOKENS: usize = 50_257;

/// Converts `weights`, a CTranslate2 `model.bin`, with its `vocabulary.txt`, and writes the ggml file to `out`.
///
/// # Errors
/// Anything but a float Whisper model is an error; no input panics.
pub fn ct2_to_ggml<R: Read + Seek>(weights: R, vocabulary: &str, mut out: impl Write) -> Result<(), ConvertError> {
    let mut model = Ct2::open(weights)?;
    let shape = Shape::of(&model)?;
    let tensors = tensors(&model, &shape)?;
    let tokens = tokens(vocabulary)?;

    out.write_all(&GGML_MAGIC.to_le_bytes())?;
    for value in shape.header() {
        out.write_all(&value.to_le_bytes())?;
    }
    out.write_all(&shape.mels.to_le_bytes())?;
    out.write_all(&(mel::FFT_BINS as u32).to_le_bytes())?;
    for weight in mel::filters(shape.mels as usize) {
        out.write_all(&weight.to_le_bytes())?;
    }
    out.write_all(&(tokens.len() as u32).to_le_bytes())?;
    for token in &tokens {
        out.write_all(&(token.len() as u32).to_le_bytes())?;
        out.write_all(token)?;
    }
    let mut buffer = Vec::new();
    for tensor in &tensors {
        tensor.write_head(&mut out)?;
        let count = tensor.dims.iter().map(|dim| u64::from(*dim)).product();
        model.values(&tensor.variable, tensor.skip, count, |values| {
            buffer.clear();
            if tensor.half {
                values.extend_f16(&mut buffer)
            } else {
                values.extend_f32(&mut buffer)
            }
            out.write_all(&buffer)
        })?;
    }
    out.flush()?;
    Ok(())
}

/// Whisper's hyper-parameters, read off the weights' dimensions.
struct Shape {
    vocab: u32,
    mels: u32,
    audio_context: u32,
    audio_state: u32,
    audio_layers: u32,
    text_context: u32,
    text_state: u32,
    text_layers: u32,
}

impl Shape {
    fn of<R: Read + Seek>(model: &Ct2<R>) -> Result<Self, ConvertError> {
        let dims = |name: &str, rank: usize| {
            let found = model.find(name).ok_or_else(|| ConvertError::Missing { name: name.to_owned() })?;
            // A dimension of zero or in the millions is no Whisper, and would only make trouble below.
            if found.dims.len() == rank && found.dims.iter().all(|dim| (1..1 << 20).contains(dim)) {
                Ok(found.dims.clone())
            } else {
                Err(ConvertError::Malformed { name: name.to_owned(), reason: format!("dimensions {:?}", found.dims) })
            }
        };
        let layers = |side: &str| {
            (0..)
                .take_while(|n| model.find(&format!("{side}/layer_{n}/self_attention/linear_0/weight")).is_some())
                .count() as u32
        };
        let convolution = dims("encoder/conv1/weight", 3)?;
        let heard = dims("encoder/position_encodings/encodings", 2)?;
        let said = dims("decoder/position_encodings/encodings", 2)?;
        Ok(Self {
            vocab: dims("decoder/embeddings/weight", 2)?[0],
            mels: convolution[1],
            audio_context: heard[0],
            audio_state: heard[1],
            audio_layers: layers("encoder"),
            text_context: said[0],
            text_state: said[1],
            text_layers: layers("decoder"),
        })
    }

    fn header(&self) -> [i32; 11] {
        [
            self.vocab,
            self.audio_context,
            self.audio_state,
            self.audio_state / HEAD_WIDTH,
            self.audio_layers,
            self.text_context,
            self.text_state,
            self.text_state / HEAD_WIDTH,
            self.text_layers,
            self.mels,
        ]
        .map(|value| i32::try_from(value).expect("dimensions are below 2^20 and layers are counted"))
        .into_iter()
        .chain([F16])
        .collect::<Vec<_>>()
        .try_into()
        .expect("ten and one")
    }
}

/// One tensor of the ggml file and the run of a variable it is copied from.
struct Tensor {
    name: String,
    /// Outermost first.
    dims: Vec<u32>,
    half: bool,
    variable: Variable,
    /// Values of the variable before it.
    skip: u64,
}

impl Tensor {
    fn write_head(&self, out: &mut impl Write) -> io::Result<()> {
        for value in [self.dims.len() as u32, self.name.len() as u32, u32::from(self.half)] {
            out.write_all(&value.to_le_bytes())?;
        }
        for dim in self.dims.iter().rev() {
            out.write_all(&dim.to_le_bytes())?;
        }
        out.write_all(self.name.as_bytes())
    }
}

/// Collects the tensors, checking each variable's dimensions on the way.
struct Plan<'a, R> {
    model: &'a Ct2<R>,
    tensors: Vec<Tensor>,
}

impl<R: Read + Seek> Plan<'_, R> {
    /// `name`, of dimensions `dims`, is the `place`th of `stack` tensors stacked in `variable`.
    fn piece(
        &mut self,
        variable: &str,
        (place, stack): (u32, u32),
        name: String,
        dims: &[u32],
        half: bool,
    ) -> Result<(), ConvertError> {
        let found = self.model.find(variable).ok_or_else(|| ConvertError::Missing { name: variable.to_owned() })?;
        let malformed = |reason| Err(ConvertError::Malformed { name: variable.to_owned(), reason });
        // A convolution's bias is a column in ggml and a vector here.
        let inner = if dims.get(1) == Some(&1) { &[][..] } else { &dims[1..] };
        if found
            .dims
            .split_first()
            .is_none_or(|(rows, rest)| Some(*rows) != dims[0].checked_mul(stack) || rest != inner)
        {
            return malformed(format!("dimensions {:?}, expected {stack} × {dims:?}", found.dims));
        }
        if let Scalar::Integer(bytes) = found.scalar {
            return malformed(format!("{}-bit integers; only float models can be converted", 8 * bytes));
        }
        let each: u64 = dims.iter().map(|dim| u64::from(*dim)).product();
        let skip = u64::from(place) * each;
        self.tensors.push(Tensor { name, dims: dims.to_vec(), half, variable: found.clone(), skip });
        Ok(())
    }

    fn one(&mut self, variable: &str, name: &str, dims: &[u32], half: bool) -> Result<(), ConvertError> {
        self.piece(variable, (0, 1), name.to_owned(), dims, half)
    }

    fn norm(&mut self, variable: &str, name: &str, state: u32) -> Result<(), ConvertError> {
        self.one(&format!("{variable}/gamma"), &format!("{name}.weight"), &[state], false)?;
        self.one(&format!("{variable}/beta"), &format!("{name}.bias"), &[state], false)
    }

    /// Linear layers `prefix.part`, stacked in one variable. Whisper's `key` has no bias; CTranslate2 stores zeros for it.
    fn linear(
        &mut self,
        variable: &str,
        prefix: &str,
        parts: &[&str],
        rows: u32,
        columns: u32,
    ) -> Result<(), ConvertError> {
        for (place, part) in (0..).zip(parts) {
            let place = (place, parts.len() as u32);
            self.piece(
                &format!("{variable}/weight"),
                place,
                format!("{prefix}.{part}.weight"),
                &[rows, columns],
                true,
            )?;
            if *part != "key" {
                self.piece(&format!("{variable}/bias"), place, format!("{prefix}.{part}.bias"), &[rows], false)?;
            }
        }
        Ok(())
    }

    fn block(&mut self, side: &str, layer: u32, state: u32) -> Result<(), ConvertError> {
        let (from, to) = (format!("{side}/layer_{layer}"), format!("{side}.blocks.{layer}"));
        let wide = 4 * state;
        self.norm(&format!("{from}/ffn/layer_norm"), &format!("{to}.mlp_ln"), state)?;
        self.linear(&format!("{from}/ffn/linear_0"), &format!("{to}.mlp"), &["0"], wide, state)?;
        self.linear(&format!("{from}/ffn/linear_1"), &format!("{to}.mlp"), &["2"], state, wide)?;

        let (own, attention) = (format!("{from}/self_attention"), format!("{to}.attn"));
        self.norm(&format!("{own}/layer_norm"), &format!("{to}.attn_ln"), state)?;
        self.linear(&format!("{own}/linear_0"), &attention, &["query", "key", "value"], state, state)?;
        self.linear(&format!("{own}/linear_1"), &attention, &["out"], state, state)?;
        if side == "encoder" {
            return Ok(());
        }
        let (cross, attention) = (format!("{from}/attention"), format!("{to}.cross_attn"));
        self.norm(&format!("{cross}/layer_norm"), &format!("{to}.cross_attn_ln"), state)?;
        self.linear(&format!("{cross}/linear_0"), &attention, &["query"], state, state)?;
        self.linear(&format!("{cross}/linear_1"), &attention, &["key", "value"], state, state)?;
        self.linear(&format!("{cross}/linear_2"), &attention, &["out"], state, state)
    }
}

/// All tensors, in the order of the published files, so that the result can be compared with them byte by byte.
fn tensors<R: Read + Seek>(model: &Ct2<R>, shape: &Shape) -> Result<Vec<Tensor>, ConvertError> {
    let mut plan = Plan { model, tensors: Vec::new() };
    let (heard, said) = (shape.audio_state, shape.text_state);
    let table = "position_encodings/encodings";
    plan.one(&format!("decoder/{table}"), "decoder.positional_embedding", &[shape.text_context, said], false)?;
    plan.one(&format!("encoder/{table}"), "encoder.positional_embedding", &[shape.audio_context, heard], false)?;

    plan.one("decoder/embeddings/weight", "decoder.token_embedding.weight", &[shape.vocab, said], true)?;
    for layer in 0..shape.text_layers {
        plan.block("decoder", layer, said)?;
    }
    plan.norm("decoder/layer_norm", "decoder.ln", said)?;

    for (convolution, inputs) in [("conv1", shape.mels), ("conv2", heard)] {
        let (from, to) = (format!("encoder/{convolution}"), format!("encoder.{convolution}"));
        plan.one(&format!("{from}/weight"), &format!("{to}.weight"), &[heard, inputs, 3], true)?;
        plan.one(&format!("{from}/bias"), &format!("{to}.bias"), &[heard, 1], false)?;
    }
    for layer in 0..shape.audio_layers {
        plan.block("encoder", layer, heard)?;
    }
    plan.norm("encoder/layer_norm", "encoder.ln_post", heard)?;
    Ok(plan.tensors)
}

/// The listed tokens as raw bytes. A line of `vocabulary` is a token in GPT-2's byte-to-character map.
fn tokens(vocabulary: &str) -> Result<Vec<Vec<u8>>, ConvertError> {
    let lines: Vec<&str> = vocabulary.split('\n').take(LISTED_TOKENS).collect();
    if lines.len() < LISTED_TOKENS {
        return Err(ConvertError::Vocabulary { line: lines.len(), reason: "the file ends before the last token" });
    }
    let map = byte_map();
    let token = |(index, line): (usize, &&str)| -> Result<Vec<u8>, ConvertError> {
        let bytes = line.chars().map(|character| map.get(&character).copied()).collect::<Option<_>>();
        bytes.ok_or(ConvertError::Vocabulary { line: index + 1, reason: "a character stands for no byte" })
    };
    lines.iter().enumerate().map(token).collect()
}

/// Undoes GPT-2's map: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order.
fn byte_map() -> HashMap<char, u8> {
    let (themselves, others): (Vec<u8>, Vec<u8>) =
        (0..=u8::MAX).partition(|byte| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff));
    let moved = ('\u{100}'..).zip(others);
    themselves.into_iter().map(|byte| (char::from(byte), byte)).chain(moved).collect()
}

#[cfg(test)]
pub(super) mod tests;
