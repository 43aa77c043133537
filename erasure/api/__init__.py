"""The Python functions of `import erasure`."""
