"""Metrics of sound: spectra, cepstra and pitch against a paired clip, features of sets, words that are heard."""

from ornstein.evaluation.audio.clips import Clip as Clip
from ornstein.evaluation.audio.clips import Clips as Clips
from ornstein.evaluation.audio.dtw import warp as warp
from ornstein.evaluation.audio.edit_distance import character_errors as character_errors
from ornstein.evaluation.audio.edit_distance import edit_distance as edit_distance
from ornstein.evaluation.audio.edit_distance import word_errors as word_errors
from ornstein.evaluation.audio.features import LogMelStatistics as LogMelStatistics
from ornstein.evaluation.audio.files import read_clips as read_clips
from ornstein.evaluation.audio.log_spectral import log_spectral_distance as log_spectral_distance
from ornstein.evaluation.audio.mcd import mel_cepstral_distortion as mel_cepstral_distortion
from ornstein.evaluation.audio.mcd import mel_cepstrum as mel_cepstrum
from ornstein.evaluation.audio.pitch import f0 as f0
from ornstein.evaluation.audio.pitch import pitch_error as pitch_error
from ornstein.evaluation.audio.settings import AudioSettings as AudioSettings
from ornstein.evaluation.audio.table import error_rates as error_rates
from ornstein.evaluation.audio.table import frechet_audio as frechet_audio
