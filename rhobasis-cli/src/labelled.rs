//! Frames with their labels, all in memory: what a potential is trained on or tested with.

use std::path::{Path, PathBuf};

use rhobasis::extxyz::{Chunk, Dataset, LabelKeys, LabelSurvey, Labels, Options, SourceFile, labels_and_omissions};
use rhobasis::{Error, Result, Structure};

use crate::input::for_each_chunk;

/// What the frames of a chunk say of themselves, which the survey learns of.
pub fn labels_of(chunk: &Chunk, options: &Options, survey: &mut LabelSurvey) -> Result<Vec<Labels>> {
    let of_frame = |(k, structure): (usize, &Structure)| {
        let (said, omitted) =
            labels_and_omissions(structure, options).map_err(|e| chunk.locate(e.at_frame(k), |frame| frame))?;
        survey.add(structure, &said, &omitted, || chunk.named(k));
        Ok(said)
    };
    chunk.structures.iter().enumerate().map(of_frame).collect()
}

/// Frames, what each says of itself, and where each came from.
#[derive(Default)]
pub struct LabelledFrames {
    pub frames: Vec<Structure>,
    pub labels: Vec<Labels>,
    /// The files as they were named, with the SHA-256 of their content.
    pub files: Vec<SourceFile>,
    /// Which labels were found under which keys.
    pub survey: LabelSurvey,
    paths: Vec<PathBuf>,
    /// Index into `paths`, and of the frame in that file.
    places: Vec<(usize, usize)>,
}

impl LabelledFrames {
    /// Reads all frames; of their properties, labels and `config_type` are kept.
    pub fn read(specs: &[String], keys: &LabelKeys) -> Result<Self> {
        let mut data = LabelledFrames { survey: LabelSurvey::new(keys), ..LabelledFrames::default() };
        if specs.is_empty() {
            return Ok(data);
        }
        let options = keys.options(true);
        let files = for_each_chunk(Dataset::open(specs, &options)?, "reading", |mut chunk| {
            let labels = labels_of(&chunk, &options, &mut data.survey)?;
            let structures = std::mem::take(&mut chunk.structures);
            for (k, (structure, said)) in structures.into_iter().zip(labels).enumerate() {
                data.push(structure, said, chunk.place(k));
            }
            Ok(())
        })?;
        data.files = files;
        Ok(data)
    }

    /// Adds a frame from its file, with its `config_type` and what it says of itself.
    pub fn push(&mut self, mut structure: Structure, said: Labels, (path, frame): (&Path, usize)) {
        structure.columns = Vec::new();
        structure.info.retain(|(key, _)| key == "config_type");
        structure.info.shrink_to_fit();
        if self.paths.last().is_none_or(|last| last != path) {
            self.paths.push(path.to_path_buf());
        }
        self.places.push((self.paths.len() - 1, frame));
        self.frames.push(structure);
        self.labels.push(said);
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// These frames and then those of `other`, and how many that are.
    pub fn and(mut self, other: LabelledFrames) -> (LabelledFrames, usize) {
        let paths = self.paths.len();
        self.paths.extend(other.paths);
        self.places.extend(other.places.into_iter().map(|(path, frame)| (paths + path, frame)));
        self.frames.extend(other.frames);
        self.labels.extend(other.labels);
        let n = self.frames.len();
        (self, n)
    }

    /// Takes out the frames that are marked.
    pub fn split_off(&mut self, marked: &[bool]) -> LabelledFrames {
        let mut taken =
            LabelledFrames { files: self.files.clone(), paths: self.paths.clone(), ..LabelledFrames::default() };
        let mut kept = LabelledFrames {
            files: std::mem::take(&mut self.files),
            paths: self.paths.clone(),
            ..LabelledFrames::default()
        };
        let frames = std::mem::take(&mut self.frames).into_iter().zip(std::mem::take(&mut self.labels));
        for (((frame, said), &place), &marked) in frames.zip(&self.places).zip(marked) {
            let part = if marked { &mut taken } else { &mut kept };
            part.frames.push(frame);
            part.labels.push(said);
            part.places.push(place);
        }
        *self = kept;
        taken
    }

    /// File and frame as the user knows them; the frame alone where there is one file.
    pub fn place(&self, k: usize) -> String {
        match self.places.get(k) {
            Some(&(_, frame)) if self.paths.len() == 1 => format!("frame {frame}"),
            Some(&(path, frame)) => format!("{}, frame {frame}", self.paths[path].display()),
            None => format!("frame {k}"),
        }
    }

    /// Files of some frames, and the frames of each as the file counts them; the file is empty where there is one.
    pub fn places(&self, frames: &[usize]) -> Vec<(String, Vec<usize>)> {
        let mut by_file: Vec<(String, Vec<usize>)> = Vec::new();
        for &(path, frame) in frames.iter().filter_map(|&k| self.places.get(k)) {
            let file = if self.paths.len() == 1 { String::new() } else { self.paths[path].display().to_string() };
            match by_file.last_mut().filter(|(last, _)| *last == file) {
                Some((_, frames)) => frames.push(frame),
                None => by_file.push((file, vec![frame])),
            }
        }
        by_file
    }

    /// Replaces the frame number of an error by file and frame.
    pub fn locate(&self, mut e: Error) -> Error {
        if let Error::Structure { place, .. } = &mut e
            && let Some(&(path, frame)) = place.frame.and_then(|frame| self.places.get(frame))
        {
            place.frame = Some(frame);
            place.file = Some(self.paths[path].clone());
        }
        e
    }

    /// Bytes of memory that frames and labels take.
    pub fn memory(&self) -> f64 {
        let of = |said: &Labels| size_of::<Labels>() + 24 * said.forces.as_ref().map_or(0, Vec::len);
        let frames: usize = self.frames.iter().map(Structure::memory).sum();
        (frames + self.labels.iter().map(of).sum::<usize>() + 16 * self.places.len()) as f64
    }
}
