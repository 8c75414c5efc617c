//! Frames with their tensors, all in memory.

use rhobasis::equivariant::{Target, TensorSurvey};
use rhobasis::extxyz::{Dataset, Labels};
use rhobasis::potential::split;
use rhobasis::{Error, Result};

use super::model_file::TensorFile;
use crate::input::{Keys, for_each_chunk};
use crate::labelled::LabelledFrames;
use crate::text::warn;

/// Frames, and the tensor of each.
#[derive(Default)]
pub struct TensorFrames {
    pub data: LabelledFrames,
    /// Cartesian components.
    pub tensors: Vec<Option<Vec<f64>>>,
}

impl TensorFrames {
    fn read(specs: &[String], survey: &mut TensorSurvey) -> Result<Self> {
        let mut read = TensorFrames::default();
        if specs.is_empty() {
            return Ok(read);
        }
        let TensorFrames { data, tensors } = &mut read;
        data.files = for_each_chunk(Dataset::open(specs, &Keys::none())?, "reading", |mut chunk| {
            for (k, structure) in std::mem::take(&mut chunk.structures).into_iter().enumerate() {
                let label = survey.label(&structure).map_err(|e| chunk.locate(e.at_frame(k), |frame| frame))?;
                tensors.push(label);
                data.push(structure, Labels::default(), chunk.place(k));
            }
            Ok(())
        })?;
        Ok(read)
    }

    /// Takes out the frames that are marked.
    fn split_off(&mut self, marked: &[bool]) -> Self {
        let data = self.data.split_off(marked);
        let (mut taken, mut kept) = (Vec::new(), Vec::new());
        for (tensor, &marked) in std::mem::take(&mut self.tensors).into_iter().zip(marked) {
            if marked { taken.push(tensor) } else { kept.push(tensor) }
        }
        self.tensors = kept;
        TensorFrames { data, tensors: taken }
    }
}

/// Frames to train on and to test with.
pub fn read(file: &TensorFile) -> Result<[TensorFrames; 2]> {
    let survey = || TensorSurvey::new(file.model.target, file.key.as_deref());
    let mut of_train = survey();
    let mut train = TensorFrames::read(&file.data.train, &mut of_train)?;
    of_train.check().map_err(|e| named(file, file.model.target, &e))?;
    if let Some(omission) = of_train.omission() {
        warn(format!("of the training set, {omission}"));
    }
    if let Some(fraction) = file.data.test_fraction {
        let test = train.split_off(&split(&train.data.frames, fraction, file.data.seed)?);
        return Ok([train, test]);
    }
    let mut of_test = survey();
    let test = TensorFrames::read(&file.data.test, &mut of_test)?;
    if !file.data.test.is_empty() {
        if of_test.check().is_err() {
            warn(format!("no test frame has a {} under the key '{}'", file.model.target.key(), of_test.key()));
        }
        of_test.omission().into_iter().for_each(|omission| warn(format!("of the test set, {omission}")));
    }
    Ok([train, test])
}

/// An error about a key of labels, as one about the section [data].
fn named(file: &TensorFile, target: Target, error: &Error) -> Error {
    match error {
        Error::Setting { value, problem, remedy, .. } => {
            let problem = format!("[data]: {} = \"{value}\": {problem}", target.key_setting());
            Error::file(&file.path, problem, remedy)
        }
        other => Error::file(&file.path, other.to_string(), "name the keys of labels in [data]"),
    }
}
