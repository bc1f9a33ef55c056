"""Data: datasets, batches as a pure function of (key, step), preparation, tables and the files they come from."""

from purenet.data.dataset import Batches, Dataset
from purenet.data.preparation import Standardize, one_hot, standardize, train_test_split
from purenet.data.readers import read_csv, read_npy, read_npz
from purenet.data.tables import Table, TableDataset, to_dataset

__all__ = [
    "Batches",
    "Dataset",
    "Standardize",
    "Table",
    "TableDataset",
    "one_hot",
    "read_csv",
    "read_npy",
    "read_npz",
    "standardize",
    "to_dataset",
    "train_test_split",
]
