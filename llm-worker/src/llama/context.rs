//! The computing half: llama.cpp's context, by its C interface.
#![expect(unsafe_code, reason = "the safe library has no way to change threads or to interrupt an evaluation")]

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use super::{LoadError, LoadSettings, Model};
use crate::cache::SeqId;
use crate::model::{Backend, DecodeError, Evaluation, Token};

/// Owns one `llama_context` and one `llama_batch`.
pub struct Context {
    raw: NonNull<sys::llama_context>,
    batch: sys::llama_batch,
    settings: LoadSettings,
    /// Cells there really are: llama.cpp rounds up.
    cells: usize,
    vocabulary: usize,
    threads: u32,
    /// Keeps what `raw` points into alive.
    model: Arc<Model>,
}

// SAFETY: neither the context nor the batch is tied to a thread, and `&mut self` keeps them to one at a time.
unsafe impl Send for Context {}

/// What llama.cpp calls between two operations to learn whether to go on; `data` is a `&dyn Fn() -> bool`.
unsafe extern "C" fn ask(data: *mut c_void) -> bool {
    // SAFETY: `evaluate` sets `data` to a reference that lives until after it has taken the callback back.
    let interrupt = unsafe { &*data.cast::<&dyn Fn() -> bool>() };
    interrupt()
}

/// Once it runs, llama.cpp logs each interruption as four errors; its return codes tell all that is needed.
unsafe extern "C" fn ignore_log(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}

fn raw_model(model: &LlamaModel) -> *mut sys::llama_model {
    const { assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>()) };
    // SAFETY: in exactly this version `LlamaModel` is `repr(transparent)` over a non-null `llama_model` pointer; it has no
    // accessor for it. The version is pinned in Cargo.toml and the size checked above.
    unsafe { std::ptr::from_ref(model).cast::<*mut sys::llama_model>().read() }
}

impl Context {
    pub(super) fn new(model: Arc<Model>, settings: &LoadSettings) -> Result<Self, LoadError> {
        // SAFETY: plain values in, plain values out.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = settings.context;
        params.n_batch = settings.batch;
        params.n_ubatch = settings.batch;
        params.n_seq_max = settings.prefixes;
        params.n_outputs_max = settings.prefixes; // one is wanted, llama.cpp insists on one a sequence
        params.n_threads = settings.threads.cast_signed();
        params.n_threads_batch = settings.threads.cast_signed();
        // Skips the cells of other sequences; without it every kept prefix would slow down every request.
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
        params.kv_unified = true; // sequences share cells
        params.swa_full = true; // or a sliding-window model could not go back to a prefix
        params.no_perf = true;
        // SAFETY: the model pointer is valid, and stays so: `Self` holds the model.
        let raw = unsafe { sys::llama_init_from_model(raw_model(&model.model), params) };
        let raw = NonNull::new(raw).ok_or(LoadError::Context(settings.context))?;
        // SAFETY: `raw` was just made.
        let cells = unsafe { sys::llama_n_ctx(raw.as_ptr()) } as usize;
        // SAFETY: allocates arrays for `batch` tokens of one sequence each, freed in `drop`.
        let batch = unsafe { sys::llama_batch_init(settings.batch.cast_signed(), 0, 1) };
        // SAFETY: sets a function that ignores its arguments.
        unsafe { sys::llama_log_set(Some(ignore_log), std::ptr::null_mut()) };
        let vocabulary = usize::try_from(model.model.n_vocab()).unwrap_or(0);
        Ok(Self { raw, batch, settings: settings.clone(), cells, vocabulary, threads: settings.threads, model })
    }

    fn use_threads(&mut self, threads: u32) {
        if threads != self.threads {
            let count = threads.cast_signed();
            // SAFETY: `raw` is valid; the counts are checked by the command line to be 1 to 256.
            unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), count, count) };
            self.threads = threads;
        }
    }

    fn fill_batch(&mut self, what: &Evaluation<'_>) {
        assert!(what.tokens.len() <= self.max_batch(), "an evaluation fits the batch");
        self.batch.n_tokens = what.tokens.len() as i32;
        for (i, token) in what.tokens.iter().enumerate() {
            let wanted = what.logits && i + 1 == what.tokens.len();
            // SAFETY: the arrays have room for `max_batch` tokens of one sequence (`new`), and `i` is below that.
            unsafe {
                self.batch.token.add(i).write(*token);
                self.batch.pos.add(i).write((what.from + i) as i32);
                self.batch.n_seq_id.add(i).write(1);
                (*self.batch.seq_id.add(i)).write(what.seq.0.cast_signed());
                self.batch.logits.add(i).write(i8::from(wanted));
            }
        }
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: `raw` is valid, its memory lives as long.
        unsafe { sys::llama_get_memory(self.raw.as_ptr()) }
    }
}

impl Backend for Context {
    fn cells(&self) -> usize {
        self.cells
    }

    fn sequences(&self) -> u32 {
        self.settings.prefixes
    }

    fn max_batch(&self) -> usize {
        self.settings.batch as usize
    }

    fn limit(&self) -> usize {
        self.model.limit
    }

    fn evaluate(&mut self, what: Evaluation<'_>, interrupt: &dyn Fn() -> bool) -> Result<(), DecodeError> {
        self.use_threads(what.threads);
        self.fill_batch(&what);
        let raw = self.raw.as_ptr();
        let data = (&raw const interrupt).cast_mut().cast::<c_void>();
        // SAFETY: `interrupt` outlives the callback, which is taken back before this function returns. The batch was
        // filled above. llama.cpp catches its own exceptions in `llama_decode`.
        let code = unsafe {
            sys::llama_set_abort_callback(raw, Some(ask), data);
            let code = sys::llama_decode(raw, self.batch);
            sys::llama_synchronize(raw);
            sys::llama_set_abort_callback(raw, None, std::ptr::null_mut());
            code
        };
        let error = match code {
            0 => return Ok(()),
            1 => DecodeError::NoCell,
            2 => DecodeError::Interrupted,
            code => DecodeError::Failed(code),
        };
        // SAFETY: as in `clear`. llama.cpp has dropped the interrupted tokens itself; this makes it certain.
        unsafe { sys::llama_memory_seq_rm(self.memory(), what.seq.0.cast_signed(), what.from as i32, -1) };
        Err(error)
    }

    fn logits(&self) -> &[f32] {
        // SAFETY: null or one score for each token of the vocabulary, valid until the next evaluation, which needs
        // `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw.as_ptr(), -1);
            if row.is_null() { &[] } else { std::slice::from_raw_parts(row, self.vocabulary) }
        }
    }

    fn share(&mut self, from: SeqId, to: SeqId, len: usize) {
        // SAFETY: sequence numbers are below `n_seq_max`.
        unsafe {
            sys::llama_memory_seq_cp(self.memory(), from.0.cast_signed(), to.0.cast_signed(), 0, len as i32);
        }
    }

    fn clear(&mut self, seq: SeqId) {
        // SAFETY: the sequence number is below `n_seq_max`; removing a whole sequence always works.
        unsafe { sys::llama_memory_seq_rm(self.memory(), seq.0.cast_signed(), -1, -1) };
    }

    fn piece(&self, token: Token, out: &mut Vec<u8>) {
        self.model.model.vocab().token_to_piece_into(LlamaToken(token), out, false, None);
    }

    fn ends(&self, token: Token) -> bool {
        self.model.model.vocab().is_eog(LlamaToken(token))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: both were made in `new` and are not used again.
        unsafe {
            sys::llama_batch_free(self.batch);
            sys::llama_free(self.raw.as_ptr());
        }
    }
}
