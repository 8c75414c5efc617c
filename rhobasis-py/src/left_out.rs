//! What frames of Python held and could not be kept: said once, and remembered where a label is looked for.

use rhobasis::Error;

/// Something of a frame that was left out.
#[derive(Clone)]
pub(crate) struct LeftOut {
    /// Index of the frame.
    pub(crate) frame: usize,
    /// Keys under which it would have been found.
    pub(crate) names: Vec<String>,
    /// What it is, and why it could not be kept.
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

impl LeftOut {
    /// For who needs it.
    pub(crate) fn error(&self) -> Error {
        Error::structure(None, self.problem.clone(), self.remedy)
    }
}

/// What was left out of some frames, by ascending frame.
#[derive(Clone, Default)]
pub(crate) struct AllLeftOut(Vec<LeftOut>);

impl AllLeftOut {
    pub(crate) fn new(mut all: Vec<LeftOut>) -> Self {
        all.sort_by_key(|one| one.frame);
        AllLeftOut(all)
    }

    /// Of one frame.
    fn of(&self, frame: usize) -> &[LeftOut] {
        let begin = self.0.partition_point(|one| one.frame < frame);
        let n = self.0[begin..].partition_point(|one| one.frame == frame);
        &self.0[begin..begin + n]
    }

    /// What would have been the label `key` of a frame.
    pub(crate) fn label(&self, frame: usize, key: &str) -> Option<&LeftOut> {
        self.of(frame).iter().find(|one| one.names.iter().any(|name| name == key))
    }

    /// Of the frames `chosen`, which are then counted from 0.
    pub(crate) fn choose(&self, chosen: &[usize]) -> Self {
        if self.0.is_empty() {
            return AllLeftOut::default();
        }
        let renumbered = |(new, &old)| self.of(old).iter().map(move |one| LeftOut { frame: new, ..one.clone() });
        AllLeftOut::new(chosen.iter().enumerate().flat_map(renumbered).collect())
    }

    /// A sentence for each kind, with the number of frames.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut kinds: Vec<(&LeftOut, usize)> = Vec::new();
        for one in &self.0 {
            match kinds.iter_mut().find(|(kind, _)| kind.problem == one.problem) {
                Some((_, n)) => *n += 1,
                None => kinds.push((one, 1)),
            }
        }
        let sentence = |(one, n): (&LeftOut, usize)| {
            let others = match n {
                1 => String::new(),
                2 => " and 1 other".to_string(),
                n => format!(" and {} others", n - 1),
            };
            format!("frame {}{others}: left out, as {}; {}", one.frame, one.problem, one.remedy)
        };
        kinds.into_iter().map(sentence).collect()
    }
}
