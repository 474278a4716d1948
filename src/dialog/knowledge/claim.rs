//! Which of two entries gets a question that both claim: a tool, which answers for this caller, or a note, which answers for
//! everybody.
//!
//! "Where is my order?" is asked of both, so neither leads over the other, and neither would be sure. Each is therefore
//! measured as if the other were not there. The tool is taken when it fits about as well as the note and no other tool comes
//! near; a note that fits clearly better ("how long does delivery take?") keeps its question.

use super::{Found, Hit, Knowledge, score};

// Chosen on `evals/fitting` and `evals/beside`.

/// By how much a tool may stand behind the note in the order of hits and still fit about as well.
const BEHIND: f32 = 0.035;
/// The same in probability.
const LESS_SURE: f32 = 0.05;
/// Lead over the next tool, without which it is not clear what is to be done: "it's about my order".
const LEAD: f32 = 0.3;
/// A note this sure by itself is none the less so for a tool behind it.
const SURE: f32 = 0.97;

impl Knowledge {
    /// Puts the best tool before a note that fits hardly better. Gives the place of the one that the first is not measured
    /// against.
    pub(super) fn claimed(&self, question: &score::Question, found: &mut Vec<Found>) -> Option<usize> {
        let is_chore = |found: &Found| self.entries[found.number].chore;
        let tool = found.iter().position(is_chore)?;
        let note = found.iter().position(|found| !is_chore(found))?;
        let of_tool = self.hit(question, found, tool, Some(note));
        let of_note = self.hit(question, found, note, Some(tool));
        let next = found.iter().skip(tool + 1).find(|found| is_chore(found)).map_or(0.0, Found::rank);
        let leads = found[tool].rank() - next >= LEAD;
        if leads && fits_as_well(&of_tool, &of_note) && found[tool].rank() >= found[note].rank() - BEHIND {
            let claiming = found.remove(tool);
            found.insert(0, claiming);
            // What stood before the tool has moved by one.
            return Some(if note < tool { note + 1 } else { note });
        }
        (note < tool && of_note.approved_score >= SURE).then_some(tool)
    }
}

fn fits_as_well(tool: &Hit, note: &Hit) -> bool {
    tool.approved_score >= note.approved_score - LESS_SURE
}
