//! What a queue or a step asks of an agent: skills at a level, all of them, each with alternatives.
//!
//! Written as a list, such as `["billing >= 3 | invoices", "!trainee"]`: every line must hold, and a line holds when one
//! of its parts does. A skill alone means any level; levels are 1 to 5; `!` means the agent must not have it.

use std::fmt::Write as _;

use crate::said::Said;

/// Highest level of a skill.
pub const MAX_LEVEL: u8 = 5;

/// Gives every skill named in a plan a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkillNames(Vec<String>);

/// An agent's level by skill number; 0: does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    skill: usize,
    /// 0: must not have it.
    least: u8,
}

/// All lines must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(Vec<Vec<Part>>);

impl SkillNames {
    /// The number of `name`, new if it was not there.
    pub fn number(&mut self, name: &str) -> usize {
        self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }

    /// All there are.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }

    /// The name of a number.
    pub fn name(&self, number: usize) -> &str {
        self.0.get(number).map_or("?", String::as_str)
    }
}

impl Levels {
    /// Sets the level of a skill.
    pub fn set(&mut self, skill: usize, level: u8) {
        if self.0.len() <= skill {
            self.0.resize(skill + 1, 0);
        }
        self.0[skill] = level;
    }

    /// The level of a skill; 0: does not have it.
    pub fn get(&self, skill: usize) -> u8 {
        self.0.get(skill).copied().unwrap_or(0)
    }
}

impl Part {
    fn holds(self, levels: &Levels) -> bool {
        let level = levels.get(self.skill);
        if self.least == 0 { level == 0 } else { level >= self.least }
    }

    fn text(self, names: &SkillNames) -> String {
        let name = names.name(self.skill);
        match self.least {
            0 => format!("no {name}"),
            1 => name.to_owned(),
            least => format!("{name} of {least} or more"),
        }
    }
}

impl Needs {
    /// Reads lines; the error says what is wrong with one of them.
    pub fn parse(lines: &[String], names: &mut SkillNames) -> Result<Self, Said> {
        let line = |text: &String| text.split('|').map(|part| parse_part(part, names)).collect();
        lines.iter().map(line).collect::<Result<_, _>>().map(Self)
    }

    /// These and those.
    pub fn and(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(&more.0).cloned().collect())
    }

    /// Whether an agent fits.
    pub fn hold(&self, levels: &Levels) -> bool {
        self.0.iter().all(|line| line.iter().any(|part| part.holds(levels)))
    }

    /// How good an agent is at what is asked: the sum of the best level of each line.
    pub fn proficiency(&self, levels: &Levels) -> u32 {
        let best = |line: &Vec<Part>| line.iter().map(|part| u32::from(levels.get(part.skill))).max().unwrap_or(0);
        self.0.iter().map(best).sum()
    }

    /// Skills that are asked for.
    pub fn skills(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().flatten().filter(|part| part.least > 0).map(|part| part.skill)
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Such as `billing of 3 or more or invoices, and no trainee`.
    pub fn text(&self, names: &SkillNames) -> String {
        Self::join(self.0.iter(), names)
    }

    /// As it is written in the configuration, whatever the reader's language: `billing >= 3 | invoices, !trainee`.
    pub fn written(&self, names: &SkillNames) -> String {
        let part = |part: &Part| match (names.name(part.skill), part.least) {
            (name, 0) => format!("!{name}"),
            (name, 1) => name.to_owned(),
            (name, least) => format!("{name} >= {least}"),
        };
        let line = |line: &Vec<Part>| line.iter().map(part).collect::<Vec<_>>().join(" | ");
        self.0.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    /// The lines that do not hold for an agent.
    pub fn missed(&self, levels: &Levels) -> Self {
        Self(self.0.iter().filter(|line| !line.iter().any(|part| part.holds(levels))).cloned().collect())
    }

    fn join<'a>(lines: impl Iterator<Item = &'a Vec<Part>>, names: &SkillNames) -> String {
        let mut text = String::new();
        for (place, line) in lines.enumerate() {
            let parts: Vec<String> = line.iter().map(|part| part.text(names)).collect();
            let comma = if place > 0 { ", and " } else { "" };
            write!(text, "{comma}{}", parts.join(" or ")).expect("writing to a string");
        }
        text
    }
}

fn parse_part(text: &str, names: &mut SkillNames) -> Result<Part, Said> {
    let text = text.trim();
    let (name, least) = match (text.strip_prefix('!'), text.split_once(">=")) {
        (Some(name), _) => (name, 0),
        (None, None) => (text, 1),
        (None, Some((name, level))) => {
            let level = level.trim().parse().ok().filter(|level| (1..=MAX_LEVEL).contains(level));
            (
                name,
                level.ok_or_else(|| {
                    let said = Said::new("level", format!("`{text}`: a level is from 1 to {MAX_LEVEL}"));
                    said.with("given", text).with("most", MAX_LEVEL)
                })?,
            )
        }
    };
    let name = name.trim();
    if !is_name(name) {
        let said = format!("`{text}` must be a skill such as `billing`, `billing >= 3` or `!trainee`");
        return Err(Said::new("skill", said).with("given", text));
    }
    Ok(Part { skill: names.number(name), least })
}

/// Letters, digits, `_` and `-`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(lines: &[&str], names: &mut SkillNames) -> Result<Needs, Said> {
        Needs::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(), names)
    }

    fn levels(skills: &[(&str, u8)], names: &mut SkillNames) -> Levels {
        let mut levels = Levels::default();
        for (skill, level) in skills {
            levels.set(names.number(skill), *level);
        }
        levels
    }

    #[test]
    fn every_line_must_hold_and_one_part_of_each() {
        let mut names = SkillNames::default();
        let wanted = needs(&["billing >= 3 | invoices", "!trainee"], &mut names).expect("valid");
        for (skills, fits) in [
            (&[("billing", 3)][..], true),
            (&[("billing", 2)], false),
            (&[("billing", 2), ("invoices", 1)], true),
            (&[("billing", 5), ("trainee", 1)], false),
            (&[], false),
        ] {
            assert_eq!(wanted.hold(&levels(skills, &mut names)), fits, "{skills:?}");
        }
        assert!(Needs::default().hold(&Levels::default()), "nothing is asked");
    }

    #[test]
    fn it_can_be_said_in_words() {
        let mut names = SkillNames::default();
        let wanted = needs(&["billing >= 3 | invoices", "!trainee"], &mut names).expect("valid");
        assert_eq!(wanted.text(&names), "billing of 3 or more or invoices, and no trainee");
        let ann = levels(&[("invoices", 4), ("trainee", 1)], &mut names);
        assert_eq!(wanted.missed(&ann).text(&names), "no trainee");
        assert_eq!(wanted.proficiency(&ann), 4 + 1);
    }

    #[test]
    fn what_is_no_skill_is_refused() {
        let mut names = SkillNames::default();
        for bad in ["", "billing >= 9", "billing >= x", "a b", "| billing", "! ", "billing > 3"] {
            assert!(needs(&[bad], &mut names).is_err(), "{bad}");
        }
    }
}
