"""Pictures. Matplotlib is imported by the files here, not by `import metaenvs`."""
