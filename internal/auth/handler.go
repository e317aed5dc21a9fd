package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/openoms/openoms/internal/oms"
)

// Codes of answers that are no refusals.
const (
	codeInvalid   = "OMS.1003"   // status 400
	codeThrottled = "APIGW.0308" // status 429
	codeMethod    = "APIGW.0101" // status 405
	codeInternal  = "OMS.1001"   // status 503
)

const (
	maxIAMBody   = 64 << 10 // bytes; the vendor's clients send less than one KiB
	maxJSONDepth = 32
	iamTime      = "2006-01-02T15:04:05.000000Z"
)

type iamDomain struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// tokenRequest is the body of POST /v3/auth/tokens.
type tokenRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password *struct {
				User struct {
					ID       string    `json:"id"`
					Name     string    `json:"name"`
					Password string    `json:"password"`
					Domain   iamDomain `json:"domain"`
				} `json:"user"`
			} `json:"password"`
		} `json:"identity"`
		Scope *struct {
			Project *iamDomain `json:"project"`
			Domain  *iamDomain `json:"domain"`
		} `json:"scope"`
	} `json:"auth"`
}

type scopedName struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Domain iamDomain `json:"domain"`
}

type tokenBody struct {
	ExpiresAt string      `json:"expires_at"`
	IssuedAt  string      `json:"issued_at"`
	Methods   []string    `json:"methods"`
	Project   scopedName  `json:"project"`
	User      scopedName  `json:"user"`
	Roles     []iamDomain `json:"roles"`
	Catalog   []struct{}  `json:"catalog"`
}

type projectBody struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	DomainID string `json:"domain_id"`
	ParentID string `json:"parent_id"`
	IsDomain bool   `json:"is_domain"`
	Enabled  bool   `json:"enabled"`
}

type domainBody struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// ServeTokens handles /v3/auth/tokens: POST issues a token for a password, GET describes and DELETE revokes
// the token in X-Subject-Token (one's own, or anybody's for an admin). It is a Public route: the handler
// authenticates by itself.
func (s *Service) ServeTokens(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		s.issueToken(w, r)
	case http.MethodGet, http.MethodDelete:
		s.subjectToken(w, r)
	default:
		methodNotAllowed(w, "GET, POST, DELETE")
	}
}

func (s *Service) issueToken(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return
	}
	login, err := parseTokenRequest(body)
	if err != nil {
		writeError(w, err)
		return
	}
	login.Source = r.RemoteAddr
	token, session, err := s.Login(r.Context(), login)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set(headerSubjectToken, token.Reveal())
	writeJSON(w, http.StatusCreated, map[string]tokenBody{"token": newTokenBody(session)})
}

// parseTokenRequest reads the body of POST /v3/auth/tokens; Invalid for anything that is not a password
// request.
func parseTokenRequest(body []byte) (Login, error) {
	if !json.Valid(body) || tooDeep(body) {
		return Login{}, oms.Errorf(oms.Invalid, codeInvalid, "The request body is not valid JSON.")
	}
	var req tokenRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return Login{}, oms.Errorf(oms.Invalid, codeInvalid, "The request body has the wrong structure.")
	}
	identity := req.Auth.Identity
	if len(identity.Methods) != 1 || identity.Methods[0] != "password" || identity.Password == nil {
		return Login{}, oms.Errorf(oms.Invalid, codeInvalid, "Only the authentication method password is supported.")
	}
	user := identity.Password.User
	if user.Name == "" && user.ID == "" || user.Password == "" {
		return Login{}, oms.Errorf(oms.Invalid, codeInvalid, "A user and a password are required.")
	}
	login := Login{
		UserName: user.Name, UserID: user.ID, Password: oms.NewSecret(user.Password), Domain: user.Domain.Name,
	}
	if login.Domain == "" {
		login.Domain = user.Domain.ID
	}
	if scope := req.Auth.Scope; scope != nil {
		if scope.Domain != nil {
			return Login{}, oms.Errorf(oms.Invalid, codeInvalid, "Only the scope project is supported.")
		}
		if scope.Project != nil {
			login.Scope = TokenScope{ProjectID: scope.Project.ID, ProjectName: scope.Project.Name}
		}
	}
	return login, nil
}

// subjectToken describes or revokes the token in X-Subject-Token.
func (s *Service) subjectToken(w http.ResponseWriter, r *http.Request) {
	caller, ok := s.caller(w, r)
	if !ok {
		return
	}
	subject := oms.NewSecret(r.Header.Get(headerSubjectToken))
	session, err := s.TokenSession(r.Context(), subject)
	if err != nil {
		writeError(w, err)
		return
	}
	if session.Identity.UserID != caller.UserID && caller.Role != RoleAdmin {
		writeError(w, refuse(reasonToken))
		return
	}
	if r.Method == http.MethodGet {
		w.Header().Set(headerSubjectToken, subject.Reveal())
		writeJSON(w, http.StatusOK, map[string]tokenBody{"token": newTokenBody(session)})
		return
	}
	if err := s.RevokeToken(r.Context(), subject); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func newTokenBody(s Session) tokenBody {
	domain := iamDomain(s.Identity.Domain)
	return tokenBody{
		ExpiresAt: s.ExpiresAt.UTC().Format(iamTime), IssuedAt: s.IssuedAt.UTC().Format(iamTime),
		Methods: []string{"password"},
		Project: scopedName{ID: s.Project.ID, Name: s.Project.Name, Domain: domain},
		User:    scopedName{ID: s.Identity.UserID, Name: s.Identity.UserName, Domain: domain},
		Roles:   []iamDomain{{ID: string(s.Identity.Role), Name: string(s.Identity.Role)}},
		Catalog: []struct{}{},
	}
}

// ServeProjects handles GET /v3/projects. The vendor's SDKs ask for name={region id} and need exactly one
// element: when none of the caller's projects has the name, the answer is the project of the caller's
// credential under the name that was asked for, so that a client with any region id finds its project. An
// access key sees its own project only, a token all projects of its user. It is a Public route: the handler
// authenticates by itself.
func (s *Service) ServeProjects(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		methodNotAllowed(w, "GET")
		return
	}
	caller, ok := s.caller(w, r)
	if !ok {
		return
	}
	projects, err := s.store.ProjectsOfUser(r.Context(), caller.UserID)
	if err != nil {
		writeError(w, err)
		return
	}
	answer := []projectBody{}
	for _, p := range visibleProjects(projects, caller, r.URL.Query().Get("name")) {
		answer = append(answer, projectBody{
			ID: p.ID, Name: p.Name, DomainID: caller.Domain.ID, ParentID: caller.Domain.ID, Enabled: true,
		})
	}
	writeJSON(w, http.StatusOK, map[string][]projectBody{"projects": answer})
}

// visibleProjects returns those of the user's projects that the caller may see and that match name; an empty
// name matches all.
func visibleProjects(projects []Project, caller Identity, name string) []Project {
	var visible, own []Project
	for _, p := range projects {
		if p.ID == caller.ProjectID {
			own = []Project{p}
		} else if caller.Credential == AccessKeyCredential {
			continue
		}
		if name == "" || p.Name == name {
			visible = append(visible, p)
		}
	}
	if len(visible) == 0 && len(own) == 1 && validIdentifier(name) {
		own[0].Name = name
		return own
	}
	return visible
}

// ServeDomains handles GET /v3/auth/domains. It is a Public route: the handler authenticates by itself.
func (s *Service) ServeDomains(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		methodNotAllowed(w, "GET")
		return
	}
	caller, ok := s.caller(w, r)
	if !ok {
		return
	}
	d := caller.Domain
	writeJSON(w, http.StatusOK, map[string][]domainBody{"domains": {{ID: d.ID, Name: d.Name, Enabled: true}}})
}

// caller authenticates a request to the IAM calls, or answers it.
func (s *Service) caller(w http.ResponseWriter, r *http.Request) (Identity, bool) {
	body, err := readBody(r)
	if err != nil {
		writeError(w, err)
		return Identity{}, false
	}
	p, err := s.prove(r.Context(), r, body)
	if err != nil {
		writeError(w, err)
		return Identity{}, false
	}
	return p.id, true
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxIAMBody+1))
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, codeInvalid, "The request body could not be read.")
	}
	if len(body) > maxIAMBody {
		return nil, oms.Errorf(oms.Invalid, codeInvalid, "The request body is too large.")
	}
	return body, nil
}

// tooDeep reports whether valid JSON nests deeper than maxJSONDepth.
func tooDeep(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			if depth++; depth > maxJSONDepth {
				return true
			}
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
	}
	return false
}

func methodNotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	writeFailure(w, http.StatusMethodNotAllowed, codeMethod, "The method is not allowed.")
}

// writeError answers with the status of err; the text of unexpected errors stays inside.
func writeError(w http.ResponseWriter, err error) {
	e, ok := errors.AsType[*oms.Error](err)
	switch {
	case ok && e.Kind == oms.Denied && e.Code == CodeUnauthenticated:
		writeFailure(w, http.StatusUnauthorized, e.Code, e.Msg)
	case ok && e.Kind == oms.Denied:
		writeFailure(w, http.StatusForbidden, e.Code, e.Msg)
	case ok && e.Kind == oms.Invalid && e.Msg != "":
		writeFailure(w, http.StatusBadRequest, codeInvalid, e.Msg)
	case ok && e.Kind == oms.Throttled && e.Code == codeThrottled:
		w.Header().Set("Retry-After", retryAfter)
		writeFailure(w, http.StatusTooManyRequests, e.Code, e.Msg)
	default:
		w.Header().Set("Retry-After", "1")
		writeFailure(w, http.StatusServiceUnavailable, codeInternal, "The service is temporarily unavailable.")
	}
}

// retryAfter is the seconds of attemptWindow.
const retryAfter = "300"

func writeFailure(w http.ResponseWriter, status int, code, msg string) {
	writeJSON(w, status, map[string]string{"error_code": code, "error_msg": msg})
}

// writeJSON answers with v. The trace id of IAM answers is the request id that the server has set.
func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if id := h.Get("X-Request-Id"); id != "" {
		h.Set("X-Iam-Trace-Id", id)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}
