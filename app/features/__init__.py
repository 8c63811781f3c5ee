"""Pixels to features. This package and `spec`, `weights`, `golden` stay free of TensorFlow and OpenVINO;
`backbone`, `convert` and the modules in `engines` are for workers only."""
