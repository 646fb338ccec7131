"""Reading and writing: images, markups, dataset folders and results folders."""
